package viewtide.connect;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.cache.Cache;
import org.apache.kafka.common.cache.LRUCache;
import org.apache.kafka.common.cache.SynchronizedCache;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.connect.connector.ConnectRecord;
import org.apache.kafka.connect.data.ConnectSchema;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.transforms.Transformation;

/**
 * Keeps NULL apart from a column's default. The Avro converter reads rows with {@link Struct#get},
 * which answers with the schema's default where a nullable column holds NULL, and no setting of it
 * changes that: {@code quantity INT DEFAULT 1} would arrive as 1. So the schemas of {@code before}
 * and {@code after} lose the defaults of their nullable columns, and nothing else of them changes.
 * Records that are no row changes (tombstones, heartbeats, transactions, notifications) pass as they are.
 */
public final class KeepNulls<R extends ConnectRecord<R>> implements Transformation<R> {
  /** Envelope schemas remembered; a captured table has one, and another after each ALTER TABLE. */
  private static final int SCHEMAS_MAX = 1000;

  private final Cache<Schema, Schema> envelopes = new SynchronizedCache<>(new LRUCache<>(SCHEMAS_MAX));

  @Override
  public R apply(R record) {
    if (!(record.value() instanceof Struct) || !isEnvelope(record.valueSchema())) {
      return record;
    }
    Schema envelope = envelopes.get(record.valueSchema());
    if (envelope == null) {
      envelope = envelopeWithoutDefaults(record.valueSchema());
      envelopes.put(record.valueSchema(), envelope);
    }
    Struct value = copy((Struct) record.value(), envelope);
    return record.newRecord(record.topic(), record.kafkaPartition(), record.keySchema(), record.key(),
        envelope, value, record.timestamp());
  }

  private static boolean isEnvelope(Schema schema) {
    return schema != null && schema.type() == Schema.Type.STRUCT && schema.field("before") != null
        && schema.field("after") != null;
  }

  private static boolean isRow(Field field) {
    return field.name().equals("before") || field.name().equals("after");
  }

  private static Schema envelopeWithoutDefaults(Schema envelope) {
    // Both are of the same schema, and are of the same one afterwards.
    Map<Schema, Schema> rows = new HashMap<>();
    List<Field> fields = new ArrayList<>();
    for (Field field : envelope.fields()) {
      Schema schema = isRow(field)
          ? rows.computeIfAbsent(field.schema(), KeepNulls::rowWithoutDefaults)
          : field.schema();
      fields.add(new Field(field.name(), field.index(), schema));
    }
    return struct(envelope, fields);
  }

  private static Schema rowWithoutDefaults(Schema row) {
    List<Field> fields = new ArrayList<>();
    for (Field field : row.fields()) {
      fields.add(new Field(field.name(), field.index(), columnWithoutDefault(field.schema())));
    }
    return struct(row, fields);
  }

  private static Schema columnWithoutDefault(Schema column) {
    if (!column.isOptional() || column.defaultValue() == null) {
      return column;
    }
    Schema.Type type = column.type();
    boolean holdsValues = type == Schema.Type.ARRAY || type == Schema.Type.MAP;
    return new ConnectSchema(type, true, null, column.name(), column.version(), column.doc(), column.parameters(),
        type == Schema.Type.STRUCT ? column.fields() : null, type == Schema.Type.MAP ? column.keySchema() : null,
        holdsValues ? column.valueSchema() : null);
  }

  private static Schema struct(Schema old, List<Field> fields) {
    return new ConnectSchema(Schema.Type.STRUCT, old.isOptional(), old.defaultValue(), old.name(), old.version(),
        old.doc(), old.parameters(), fields, null, null);
  }

  private static Struct copy(Struct old, Schema schema) {
    Struct copy = new Struct(schema);
    for (Field field : schema.fields()) {
      Object value = old.getWithoutDefault(field.name());
      if (value instanceof Struct && isRow(field)) {
        value = copy((Struct) value, field.schema());
      }
      // What is not put is NULL, or the default of a column that is NOT NULL.
      if (value != null) {
        copy.put(field, value);
      }
    }
    return copy;
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
