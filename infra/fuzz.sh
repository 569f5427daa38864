#!/usr/bin/env bash
# Fuzzes what reads text and bytes from outside.
#
#   infra/fuzz.sh [-s SECONDS] [TARGET…]      (nothing named: sql avro json query, 600 s each)
#
# Seeds are taken from the tests' own files. A finding ends the run with exit code 1; the input that
# led to it is in fuzz/artifacts/TARGET, and `cargo +nightly fuzz run TARGET FILE` repeats it.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT_DIR"

seconds=600
if [[ ${1:-} == -s ]]; then
  seconds=$2
  shift 2
fi
[[ $# -gt 0 ]] || set -- sql avro json query

# seed FOLDER NAME HEX: writes the bytes to a file of their own.
SEEDS=0
seed() {
  SEEDS=$((SEEDS + 1))
  printf '%b' "$(fold -w2 <<<"$3" | sed 's/^/\\x/' | tr -d '\n')" >"$1/$2$SEEDS"
}

# The records of topics like PATTERN, each as `KEY VALUE` in hexadecimal.
captured() {
  jq -r --arg pattern "$1" '.records[] | select(.topic | test($pattern)) | select(.value) | "\(.key // "-") \(.value)"' \
    src/source/avro/captured.json
}

seeds_sql() {
  local file
  for file in sql/views/*.sql tests/fixtures/*/views/*.sql; do cp "$file" "$1/$(tr / _ <<<"$file")"; done
  for file in tests/fixtures/*/; do
    cat "$file"/schema.sql <(printf '\n--\n') "$file"/views/*.sql >"$1/$(basename "$file").sql"
  done
}

seeds_avro() {
  local key value length
  while read -r key value; do
    length=$(printf '%04x' $((${#key} / 2)))
    seed "$1" table "00${length:2:2}${length:0:2}$key$value"
  done < <(captured everything)
  while read -r _ value; do seed "$1" transaction "01$value"; done < <(captured transaction)
  while read -r _ value; do seed "$1" notification "02$value"; done < <(captured notifications)
  while read -r _ value; do seed "$1" change "03$value"; done < <(captured changed)
}

# A table's record: how long its key is, the key, the value.
json_record() { # FOLDER KIND KEY VALUE
  local length
  length=$(printf '%04x' "${#3}")
  printf '%b%s%s' "\\x0$2\\x${length:2:2}\\x${length:0:2}" "$3" "$4" >"$1/$2"
}

seeds_json() {
  local text='"type":"string","optional":true' source op row
  printf '%b%s' '\x00' '{"id": 1, "order_id": 17, "status": "received", "updated_at": 1725290973.5}' >"$1/event"
  source='"source":{"db":"shop","table":"t","snapshot":"false","gtid":null,"ts_us":7},"op":"c"'
  source+=',"transaction":{"id":"7e897c59-e58f-11f1-b52e-02fc00000001:5","total_order":1,"data_collection_order":1}'
  row='{"id":1,"d":"-0.50","n":"a","f":0.1,"doc":"[1]","at":"2026-11-22T02:05:00Z","bits":"AgE="}'
  json_record "$1" 2 '{"id":1}' "{\"before\":null,\"after\":$row,$source}"
  row='{"type":"struct","optional":true,"fields":[{"type":"int32","optional":false,"field":"id"},'
  row+='{"type":"bytes","optional":true,"name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2"},"field":"d"},'
  row+="{$text,\"field\":\"n\"},{\"type\":\"float\",\"optional\":true,\"field\":\"f\"},"
  row+="{$text,\"name\":\"io.debezium.data.Json\",\"field\":\"doc\"},"
  row+="{$text,\"name\":\"io.debezium.time.ZonedTimestamp\",\"field\":\"at\"},"
  row+='{"type":"bytes","optional":true,"name":"io.debezium.data.Bits","field":"bits"}]'
  op="{\"type\":\"struct\",\"optional\":false,\"fields\":[$row,\"field\":\"before\"},$row,\"field\":\"after\"},"
  op+="{\"type\":\"struct\",\"optional\":false,\"field\":\"source\",\"fields\":[{$text,\"field\":\"db\"},{$text,\"field\":\"table\"}]},"
  op+="{$text,\"field\":\"op\"},{\"type\":\"struct\",\"optional\":true,\"field\":\"transaction\",\"fields\":[{$text,\"field\":\"id\"},"
  op+='{"type":"int64","optional":true,"field":"total_order"},{"type":"int64","optional":true,"field":"data_collection_order"}]}]}'
  row='{"id":1,"d":"/84=","n":"a","f":0.1,"doc":"[1]","at":"2026-11-22T02:05:00Z","bits":"AgE="}'
  json_record "$1" 1 '{"schema":{"type":"struct","optional":false,"fields":[{"type":"int32","optional":false,"field":"id"}]},"payload":{"id":1}}' \
    "{\"schema\":$op,\"payload\":{\"before\":null,\"after\":$row,$source}}"
}

seeds_query() {
  printf '0\n7,x%%2Cy\nlimit=10&raw=AP8%%3D&at=2024-09-02T17:21:02.500Z\n' >"$1/index"
  printf '1\n~~,18446744073709551615\nname=~\n7e897c59-e58f-11f1-b52e-02fc00000001:1-5:7' >"$1/after"
  printf '0\n1,a\nprice=-0.50&cursor=AYAAAAAAAAABYQA&wait=10\n' >"$1/cursor"
}

infra/install.sh fuzz
for target in "$@"; do
  seeds=fuzz/seeds/$target
  rm -rf "$seeds"
  mkdir -p "$seeds" "fuzz/corpus/$target"
  "seeds_$target" "$seeds"
  say "fuzzing $target for $seconds s"
  cargo +nightly fuzz run "$target" "fuzz/corpus/$target" "$seeds" -- \
    -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -max_len=65536 -print_final_stats=1
done
