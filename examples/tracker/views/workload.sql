-- What is on whose desk; issues that nobody has are a group of their own.
CREATE VIEW workload AS
SELECT i.assignee_id, i.state, COUNT(*) AS issues, SUM(i.estimate) AS estimated, MIN(i.opened_at) AS oldest,
  BIT_OR(i.priority) AS priorities, JSON_ARRAYAGG(i.issue_id) AS ids,
  (SELECT u.login FROM users AS u WHERE u.user_id = i.assignee_id) AS login
FROM issues AS i
GROUP BY i.assignee_id, i.state
HAVING issues > 1 OR i.assignee_id IS NULL;
