#!/usr/bin/env bash
# The schema registry (Apicurio), Confluent-compatible under /apis/ccompat/v7. Its schemas lie in a
# database file: in memory, which is its default, ids would be given out anew after a restart.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

SERVICE=registry
PORT=$REGISTRY_PORT
PORT_VARIABLE=REGISTRY_PORT
READY_SECONDS=90
SETTINGS=$REGISTRY_PORT

service_start() {
  mkdir -p "$STACK_DIR/registry"
  daemon_start registry "$SETTINGS" "$(java_bin java)" -Xms64m -Xmx192m -XX:+UseSerialGC \
    -Dquarkus.http.host=127.0.0.1 "-Dquarkus.http.port=$PORT" \
    -Dapicurio.storage.kind=sql -Dapicurio.storage.sql.kind=h2 \
    "-Dapicurio.datasource.url=jdbc:h2:file:$STACK_DIR/registry/schemas" \
    -Dapicurio.datasource.jdbc.initial-size=1 -Dapicurio.datasource.jdbc.min-size=1 \
    -Dapicurio.datasource.jdbc.max-size=10 -Dquarkus.datasource.h2.jdbc.acquisition-timeout=60S \
    -Dapicurio.datasource.username=sa -Dapicurio.datasource.password=sa \
    -jar "$(cached registry)/apicurio-registry-app-runner.jar"
}

service_ready() { curl -fsS -m 2 -o /dev/null "http://127.0.0.1:$PORT/apis/ccompat/v7/subjects" 2>/dev/null; }

service_main "$@"
