package viewtide.connect;

import io.debezium.annotation.ConnectorSpecific;
import io.debezium.config.CommonConnectorConfig;
import io.debezium.connector.binlog.BinlogReadOnlyIncrementalSnapshotContext;
import io.debezium.connector.mysql.MySqlConnector;
import io.debezium.connector.mysql.gtid.MySqlGtidSet;
import io.debezium.pipeline.ChangeEventSourceCoordinator;
import io.debezium.pipeline.EventDispatcher;
import io.debezium.pipeline.signal.SignalPayload;
import io.debezium.pipeline.signal.actions.SignalAction;
import io.debezium.pipeline.signal.actions.SignalActionProvider;
import io.debezium.pipeline.signal.actions.snapshotting.ExecuteSnapshot;
import io.debezium.pipeline.spi.OffsetContext;
import io.debezium.pipeline.spi.Partition;
import io.debezium.spi.schema.DataCollectionId;
import java.util.Map;

/**
 * The signal {@code viewtide-snapshot}: Debezium's {@code execute-snapshot}, but for the thread that reads.
 *
 * <p>Debezium reads the first chunk of an incremental snapshot on the thread that took the signal. The thread that
 * follows the binary log works with the same state meanwhile: it may have passed changes of rows that are only then
 * put into the window, close the window under the other's hands, skip a table, or tell that one is read of which
 * nothing was (DBZ-8674). The busier the machine, the more often.
 *
 * <p>Here the snapshot is paused while the signal is taken, so that nothing is read. Then a window that is already
 * over is left behind: the thread that follows the binary log closes it at the next event and goes on to the first
 * chunk by itself, as it does to every other.
 */
@ConnectorSpecific(connector = MySqlConnector.class)
public final class SnapshotOnStream implements SignalActionProvider {
  private static final String NAME = "viewtide-snapshot";

  @Override
  public <P extends Partition> Map<String, SignalAction<P>> createActions(
      EventDispatcher<P, ? extends DataCollectionId> dispatcher, ChangeEventSourceCoordinator<P, ?> coordinator,
      CommonConnectorConfig config) {
    SignalAction<P> execute = new ExecuteSnapshot<>(dispatcher, coordinator);
    return Map.of(NAME, signal -> arrived(signal, execute));
  }

  private static <P extends Partition> boolean arrived(SignalPayload<P> signal, SignalAction<P> execute)
      throws InterruptedException {
    OffsetContext offset = signal.offsetContext;
    if (!(offset.getIncrementalSnapshotContext() instanceof BinlogReadOnlyIncrementalSnapshotContext)) {
      throw new IllegalStateException("the signal " + NAME + " needs read.only=true and GTIDs");
    }
    BinlogReadOnlyIncrementalSnapshotContext<?> context =
        (BinlogReadOnlyIncrementalSnapshotContext<?>) offset.getIncrementalSnapshotContext();
    if (context.snapshotRunning()) {
      // Nothing is read here then: the tables wait behind the others.
      return execute.arrived(signal);
    }
    context.pauseSnapshot();
    boolean taken;
    try {
      taken = execute.arrived(signal);
    } finally {
      context.resumeSnapshot();
    }
    if (taken && context.snapshotRunning()) {
      leaveWindowThatIsOver(context, offset);
    }
    return taken;
  }

  private static void leaveWindowThatIsOver(
      BinlogReadOnlyIncrementalSnapshotContext<?> context, OffsetContext offset) {
    String gtid = context.getCurrentGtid(offset);
    String passed = gtid == null ? "" : gtid.substring(0, gtid.lastIndexOf(':')) + ":1";
    context.setLowWatermark(new MySqlGtidSet(""));
    context.setHighWatermark(new MySqlGtidSet(passed));
  }
}
