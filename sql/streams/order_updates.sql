-- What the services around an order (kitchen, delivery, …) publish about it. There is no primary
-- key: ids repeat across producers, so each event is a row of its own, known by its partition and offset.
CREATE TABLE order_updates (
  id BIGINT,
  order_id BIGINT,
  status VARCHAR(255),
  updated_at TIMESTAMP(6)
) COMMENT 'topic=order_updates; format=json; timestamps=seconds';
