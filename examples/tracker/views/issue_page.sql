-- All of one issue: labels by their composite key, comments with their answers and what was voted, the issue it repeats.
CREATE VIEW issue_page AS
SELECT i.issue_id, r.reference, i.title, i.body, i.state, i.opened_at, i.closed_at, r.hours_open,
  COALESCE(w.name, w.login, 'somebody') AS reporter, r.assignee,
  i.details->>'$.browser' AS browser, i.details->'$.steps' AS steps, MD5(i.body) AS body_md5,
  d.issue_id AS repeats, d.title AS repeats_title,
  (SELECT JSON_ARRAYAGG(JSON_OBJECT('label', l.label, 'color', HEX(l.color)))
    FROM issue_labels AS il JOIN labels AS l ON l.project_id = il.project_id AND l.label = il.label
    WHERE il.issue_id = i.issue_id) AS labels,
  (SELECT JSON_ARRAYAGG(JSON_OBJECT('id', c.comment_id, 'author', u.login, 'text', c.body, 'at', c.written_at,
      'score', (SELECT COALESCE(SUM(v.value), 0) FROM votes AS v WHERE v.comment_id = c.comment_id),
      'answers', (SELECT JSON_ARRAYAGG(JSON_OBJECT('id', a.comment_id, 'text', a.body)) FROM comments AS a WHERE a.reply_to = c.comment_id)))
    FROM comments AS c LEFT JOIN users AS u ON u.user_id = c.author_id
    WHERE c.issue_id = i.issue_id AND c.reply_to IS NULL) AS comments,
  (SELECT COUNT(DISTINCT c.author_id) FROM comments AS c WHERE c.issue_id = i.issue_id) AS people,
  NOT EXISTS (SELECT 1 FROM comments AS c WHERE c.issue_id = i.issue_id AND c.author_id <> i.reporter_id) AS is_unanswered
FROM issues AS i
JOIN issue_rows AS r ON r.issue_id = i.issue_id
LEFT JOIN users AS w ON w.user_id = i.reporter_id
LEFT JOIN issues AS d ON d.issue_id = i.duplicate_of AND d.state <> 'rejected';
