-- A project's board, made of another view's rows.
CREATE VIEW project_board AS
SELECT p.project_id, p.slug, q.slug AS parent, s.open_, s.done, s.mean_hours, ROUND(s.estimated, 1) AS estimated,
  (SELECT JSON_ARRAYAGG(JSON_OBJECT('reference', r.reference, 'title', r.title, 'who', r.assignee))
    FROM issue_rows AS r WHERE r.project_id = p.project_id AND r.state = 'doing') AS doing,
  (SELECT COUNT(*) FROM projects AS child WHERE child.parent_id = p.project_id) AS children,
  n.reference AS next, n.priority AS next_priority
FROM projects AS p
LEFT JOIN projects AS q ON q.project_id = p.parent_id
JOIN LATERAL (SELECT SUM(r.bucket <> 'closed') AS open_, SUM(r.state = 'done') AS done, AVG(r.hours_open) AS mean_hours, SUM(r.estimate) AS estimated
  FROM issue_rows AS r WHERE r.project_id = p.project_id) AS s ON TRUE
LEFT JOIN LATERAL (SELECT r.reference, r.priority FROM issue_rows AS r WHERE r.project_id = p.project_id AND r.bucket = 'soon'
  ORDER BY r.priority DESC, r.issue_id LIMIT 1) AS n ON TRUE
WHERE p.archived = 0;
