-- An issue as lists show it; the other views read this one.
CREATE VIEW issue_rows AS
SELECT i.issue_id, i.project_id, CONCAT(p.slug, '-', i.issue_id) AS reference, i.title, i.state, i.priority,
  i.assignee_id, u.login AS assignee, i.estimate, i.duplicate_of,
  TIMESTAMPDIFF(HOUR, i.opened_at, i.closed_at) AS hours_open,
  CASE WHEN i.state IN ('done', 'rejected') THEN 'closed' WHEN i.priority >= 3 OR i.title LIKE '%urgent%' THEN 'soon' ELSE 'later' END AS bucket
FROM issues AS i
JOIN projects AS p ON p.project_id = i.project_id
LEFT JOIN users AS u ON u.user_id = i.assignee_id;

CREATE INDEX project_id ON issue_rows (project_id);
CREATE INDEX assignee_id ON issue_rows (assignee_id);
