#!/usr/bin/env bash
# Kafka Connect, which runs Debezium. Connectors take addresses and passwords from the worker's
# environment (${env:DBZ_…}), so that one connector file serves here and in Docker.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

SERVICE=connect
PORT=$CONNECT_PORT
PORT_VARIABLE=CONNECT_PORT
READY_SECONDS=180
SETTINGS=$CONNECT_PORT,$KAFKA_PORT,$MYSQL_PORT,$REGISTRY_PORT,$(basename "$(cached plugins)")

connect_properties() {
  cat <<PROPERTIES
bootstrap.servers=127.0.0.1:$KAFKA_PORT
listeners=http://127.0.0.1:$CONNECT_PORT
rest.advertised.host.name=127.0.0.1
group.id=viewtide-connect
config.storage.topic=connect.configs
offset.storage.topic=connect.offsets
offset.storage.partitions=1
status.storage.topic=connect.status
status.storage.partitions=1
config.storage.replication.factor=1
offset.storage.replication.factor=1
status.storage.replication.factor=1
# The only worker: there is no other that would come back to its tasks (the default waits 5 minutes).
scheduled.rebalance.max.delay.ms=0
# What is not yet noted here is sent again after a crash.
offset.flush.interval.ms=5000
key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
plugin.path=$(cached plugins)
# Looking into every class of every plugin instead takes a quarter of a minute.
plugin.discovery=service_load
config.providers=env
config.providers.env.class=org.apache.kafka.common.config.provider.EnvVarConfigProvider
config.providers.env.param.allowlist.pattern=DBZ_.*
connector.client.config.override.policy=All
topic.creation.enable=true
producer.max.request.size=$RECORD_BYTES_MAX
producer.linger.ms=0
consumer.fetch.max.bytes=$RECORD_BYTES_MAX
consumer.max.partition.fetch.bytes=$RECORD_BYTES_MAX
PROPERTIES
}

service_start() {
  mkdir -p "$STACK_DIR/connect"
  connect_properties >"$STACK_DIR/connect/worker.properties"
  DBZ_MYSQL_HOST=127.0.0.1 DBZ_MYSQL_PORT=$MYSQL_PORT \
    DBZ_MYSQL_USER=$MYSQL_DEBEZIUM_USER DBZ_MYSQL_PASSWORD=$MYSQL_DEBEZIUM_PASSWORD \
    DBZ_KAFKA_BROKERS=127.0.0.1:$KAFKA_PORT DBZ_REGISTRY_URL=http://127.0.0.1:$REGISTRY_PORT/apis/registry/v2 \
    daemon_start connect "$SETTINGS" "$(java_bin java)" -Xms128m -Xmx640m -cp "$(cached kafka)/*" \
    "-Dlog4j2.configurationFile=$INFRA_DIR/log4j2.properties" \
    org.apache.kafka.connect.cli.ConnectDistributed "$STACK_DIR/connect/worker.properties"
}

service_ready() { curl -fsS -m 5 -o /dev/null "http://127.0.0.1:$PORT/health" 2>/dev/null; }

service_main "$@"
