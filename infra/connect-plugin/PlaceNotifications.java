package viewtide.connect;

import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.connect.connector.ConnectRecord;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.transforms.Transformation;

/**
 * Says in notifications of snapshots which snapshot they are of. Rows carry the place in the binary log that their
 * snapshot was taken at, notifications carry nothing that tells one attempt from another. The offset that Debezium
 * sends with each does, but does not leave Connect: its {@code file}, {@code pos} and {@code gtids} are added to
 * {@code additional_data} as {@code binlog_file}, {@code binlog_pos} and {@code binlog_gtids}. All other records pass
 * as they are.
 */
public final class PlaceNotifications<R extends ConnectRecord<R>> implements Transformation<R> {
  private static final String SCHEMA = "io.debezium.connector.common.Notification";
  private static final String DATA = "additional_data";
  private static final String[] PLACE = {"file", "pos", "gtids"};

  @Override
  public R apply(R record) {
    if (!(record instanceof SourceRecord) || !isNotification(record.valueSchema())) {
      return record;
    }
    Map<String, ?> offset = ((SourceRecord) record).sourceOffset();
    Struct old = (Struct) record.value();
    if (offset == null || old == null || old.schema().field(DATA) == null) {
      return record;
    }
    Map<String, String> data = new HashMap<>();
    if (old.getMap(DATA) != null) {
      data.putAll(old.getMap(DATA));
    }
    for (String name : PLACE) {
      Object value = offset.get(name);
      if (value != null) {
        data.put("binlog_" + name, value.toString());
      }
    }
    Struct value = new Struct(old.schema());
    old.schema().fields().forEach(field -> value.put(field, old.get(field)));
    value.put(DATA, data);
    return record.newRecord(record.topic(), record.kafkaPartition(), record.keySchema(), record.key(),
        record.valueSchema(), value, record.timestamp());
  }

  private static boolean isNotification(Schema schema) {
    return schema != null && schema.name() != null && schema.name().endsWith(SCHEMA);
  }

  @Override
  public ConfigDef config() {
    return new ConfigDef();
  }

  @Override
  public void configure(Map<String, ?> settings) {}

  @Override
  public void close() {}
}
