-- Every label of every project, also one that no issue has.
CREATE VIEW label_use AS
SELECT l.project_id, l.label, COUNT(i.issue_id) AS issues, SUM(i.state IN ('open', 'doing')) AS open_,
  MAX(i.opened_at) AS latest, GROUP_CONCAT(DISTINCT i.assignee_id ORDER BY i.assignee_id) AS assignees
FROM labels AS l
LEFT JOIN issue_labels AS il ON il.project_id = l.project_id AND il.label = l.label
LEFT JOIN issues AS i ON i.issue_id = il.issue_id
GROUP BY l.project_id, l.label;
