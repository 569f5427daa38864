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
 * Says which snapshot a record belongs to. Debezium knows: the offset that it sends with each record says so. But
 * offsets do not leave Connect, so what is needed of them is added to the record itself:
 *
 * <ul>
 * <li>Rows of a snapshot from nothing carry the place in the binary log that it was taken at, notifications carry
 * nothing that tells one attempt from another. They get {@code binlog_file}, {@code binlog_pos} and
 * {@code binlog_gtids} in {@code additional_data}.
 * <li>While an incremental snapshot runs whose id begins with {@code viewtide-anew-}, every record gets that id as the
 * header {@code viewtide-anew}: what a table's topic says from its first such record on is all that is true of it.
 * </ul>
 *
 * All other records pass as they are.
 */
public final class NameSnapshots<R extends ConnectRecord<R>> implements Transformation<R> {
  private static final String NOTIFICATION = "io.debezium.connector.common.Notification";
  private static final String DATA = "additional_data";
  private static final String[] PLACE = {"file", "pos", "gtids"};

  private static final String ID = "incremental_snapshot_correlation_id";
  private static final String ANEW = "viewtide-anew-";
  private static final String HEADER = "viewtide-anew";

  @Override
  public R apply(R record) {
    if (!(record instanceof SourceRecord)) {
      return record;
    }
    Map<String, ?> offset = ((SourceRecord) record).sourceOffset();
    if (offset == null) {
      return record;
    }
    if (isNotification(record.valueSchema())) {
      return placed(record, offset);
    }
    Object id = offset.get(ID);
    if (id != null && id.toString().startsWith(ANEW)) {
      record.headers().addString(HEADER, id.toString());
    }
    return record;
  }

  private static boolean isNotification(Schema schema) {
    return schema != null && schema.name() != null && schema.name().endsWith(NOTIFICATION);
  }

  private R placed(R record, Map<String, ?> offset) {
    Struct old = (Struct) record.value();
    if (old == null || old.schema().field(DATA) == null) {
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

  @Override
  public ConfigDef config() {
    return new ConfigDef();
  }

  @Override
  public void configure(Map<String, ?> settings) {}

  @Override
  public void close() {}
}
