#!/usr/bin/env bash
# Kafka: one KRaft node, broker and controller in one process. Its defaults are those that the
# pipeline needs of a topic: one partition, nothing compacted, nothing ever deleted, records of
# up to 16 MiB. A topic that something creates in passing is then right as well.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

SERVICE=kafka
PORT=$KAFKA_PORT
PORT_VARIABLE=KAFKA_PORT
READY_SECONDS=180
# PORT:ADVERTISED, one listener more: on PORT, but clients are sent to ADVERTISED for every further
# connection, where a test has a proxy that leads to PORT.
KAFKA_DETOUR=${KAFKA_DETOUR:-}
SETTINGS=$KAFKA_PORT,$KAFKA_CONTROLLER_PORT${KAFKA_DETOUR:+,$KAFKA_DETOUR}
SERVICE_USAGE='|topic NAME PARTITIONS|tool CLASS [argument…]'
HOME_DIR=$STACK_DIR/kafka

kafka_properties() { # DATA-FOLDER
  cat <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$KAFKA_CONTROLLER_PORT
listeners=CLIENTS://127.0.0.1:$KAFKA_PORT,CONTROLLER://127.0.0.1:$KAFKA_CONTROLLER_PORT${KAFKA_DETOUR:+,DETOUR://127.0.0.1:${KAFKA_DETOUR%:*}}
advertised.listeners=CLIENTS://127.0.0.1:$KAFKA_PORT${KAFKA_DETOUR:+,DETOUR://127.0.0.1:${KAFKA_DETOUR#*:}}
listener.security.protocol.map=CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT,DETOUR:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=CLIENTS
log.dirs=$1
num.partitions=1
log.cleanup.policy=delete
log.retention.ms=-1
log.retention.bytes=-1
message.max.bytes=$RECORD_BYTES_MAX
replica.fetch.max.bytes=$RECORD_BYTES_MAX
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
PROPERTIES
}

kafka_java() { # HEAP ARGUMENT…
  local heap=$1
  shift
  "$(java_bin java)" "-Xmx$heap" -cp "$(cached kafka)/*" "-Dlog4j2.configurationFile=$INFRA_DIR/log4j2.properties" "$@"
}

# Sixteen random bytes as Kafka writes them; one that begins with a dash would look like an option.
cluster_id() { printf 'v%s\n' "$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | cut -c 2-22)"; }

# Made aside and renamed: an interrupted format is not taken for a finished one.
kafka_format() {
  [[ ! -d $HOME_DIR/data ]] || return 0
  say "kafka     formatting the data folder"
  rm -rf "$HOME_DIR/data.new"
  kafka_properties "$HOME_DIR/data.new" >"$HOME_DIR/format.properties"
  kafka_java 128m kafka.tools.StorageTool format -t "$(cluster_id)" -c "$HOME_DIR/format.properties" \
    >>"$LOG_DIR/kafka.log" 2>&1 || {
    show_log_tail kafka
    die "kafka could not format its data folder"
  }
  mv "$HOME_DIR/data.new" "$HOME_DIR/data"
}

service_start() {
  require_port "$KAFKA_CONTROLLER_PORT" KAFKA_CONTROLLER_PORT "kafka's controller"
  mkdir -p "$HOME_DIR"
  kafka_format
  kafka_properties "$HOME_DIR/data" >"$HOME_DIR/server.properties"
  daemon_start kafka "$SETTINGS" "$(java_bin java)" -Xms128m -Xmx512m -cp "$(cached kafka)/*" \
    "-Dlog4j2.configurationFile=$INFRA_DIR/log4j2.properties" kafka.Kafka "$HOME_DIR/server.properties"
}

# An ApiVersions request (key 18, version 0, no client id): the port is open before the broker answers.
service_ready() {
  (
    exec 3<>"/dev/tcp/127.0.0.1/$PORT"
    printf '\0\0\0\012\0\022\0\0\0\0\0\1\377\377' >&3
    [[ $(timeout 2 head -c 8 <&3 | wc -c) == 8 ]]
  ) 2>/dev/null
}

case ${1:-} in
  topic)
    [[ $# == 3 ]] || die "usage: infra/kafka.sh topic NAME PARTITIONS"
    kafka_java 128m org.apache.kafka.tools.TopicCommand --bootstrap-server "127.0.0.1:$PORT" --create \
      --if-not-exists --topic "$2" --partitions "$3" --replication-factor 1 --config cleanup.policy=delete \
      --config retention.ms=-1 --config "max.message.bytes=$RECORD_BYTES_MAX"
    ;;
  # Kafka's own command-line tools, for example org.apache.kafka.tools.TopicCommand.
  tool) shift && kafka_java 256m "$@" ;;
  *) service_main "$@" ;;
esac
