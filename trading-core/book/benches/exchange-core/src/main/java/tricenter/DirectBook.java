package tricenter;

import exchange.core2.collections.objpool.ObjectsPool;
import exchange.core2.core.common.CoreSymbolSpecification;
import exchange.core2.core.common.MatcherEventType;
import exchange.core2.core.common.MatcherTradeEvent;
import exchange.core2.core.common.OrderAction;
import exchange.core2.core.common.OrderType;
import exchange.core2.core.common.SymbolType;
import exchange.core2.core.common.cmd.OrderCommand;
import exchange.core2.core.common.config.LoggingConfiguration;
import exchange.core2.core.orderbook.OrderBookDirectImpl;
import exchange.core2.core.orderbook.OrderBookEventsHelper;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.Arrays;

/**
 * exchange-core's direct order book under the stated load of ../../../../../../load/mod.rs: the same
 * draws in the same order. Called as its matching thread calls it, with one command object used again.
 */
public final class DirectBook {
    private static final long MIDDLE = 1_000_000;
    private static final long TICK = 100;
    private static final long LOT = 100;
    private static final int RESTING = 20_000;
    private static final int TICKS = 500;
    private static final int WARM_UP_ROUNDS = 6;
    private static final int ROUNDS = 7;

    /** Kind, account, order, price and quantity, one after the other: as compact as in Rust. */
    private static final int WORDS = 4;
    private static final long BUY = 0;
    private static final long SELL = 1;
    private static final long CANCEL = 2;

    private final OrderBookDirectImpl book = newBook();
    private final OrderCommand command = new OrderCommand();
    private long trades;
    private long shares;
    private long cancelled;

    private static OrderBookDirectImpl newBook() {
        CoreSymbolSpecification symbol = CoreSymbolSpecification.builder()
            .symbolId(1).type(SymbolType.CURRENCY_EXCHANGE_PAIR).baseCurrency(1).quoteCurrency(2)
            .baseScaleK(1).quoteScaleK(1).build();
        return new OrderBookDirectImpl(symbol, ObjectsPool.createDefaultTestPool(),
            OrderBookEventsHelper.NON_POOLED_EVENTS_HELPER, LoggingConfiguration.DEFAULT);
    }

    private void apply(long[] stream, int at) {
        long kind = stream[at] & 3;
        command.orderId = stream[at + 1];
        command.uid = stream[at] >>> 2;
        command.matcherEvent = null;
        if (kind == CANCEL) {
            book.cancelOrder(command);
        } else {
            command.price = stream[at + 2];
            command.reserveBidPrice = stream[at + 2];
            command.size = stream[at + 3];
            command.action = kind == BUY ? OrderAction.BID : OrderAction.ASK;
            command.orderType = OrderType.GTC;
            book.newOrder(command);
        }
        for (MatcherTradeEvent event = command.matcherEvent; event != null; event = event.nextEvent) {
            if (event.eventType == MatcherEventType.TRADE) {
                trades++;
                shares += event.size;
            } else {
                cancelled += event.size;
            }
        }
    }

    /** Draws the stream, with a book at hand to know which orders still rest. */
    private static final class Drawer {
        private final DirectBook at = new DirectBook();
        private final long[] stream;
        private final int[] live = new int[4 * RESTING];
        private final int[] places;
        private final int[] accounts;
        private int resting;
        private int orders = 1;
        private int length;
        private long state = 4 | 1;

        Drawer(int commands) {
            stream = new long[(RESTING + commands) * WORDS];
            places = new int[RESTING + commands + 1];
            accounts = new int[RESTING + commands + 1];
            for (int n = 0; n < RESTING; n++) {
                passive();
            }
            for (int n = 0; n < commands; n++) {
                long draw = below(100);
                if (draw < 45) {
                    passive();
                } else if (draw < 60) {
                    crossing();
                } else if (resting == 0) {
                    passive();
                } else {
                    cancel();
                }
            }
        }

        private long below(long bound) {
            state ^= state << 13;
            state ^= state >>> 7;
            state ^= state << 17;
            return (state >>> 33) % bound;
        }

        private void passive() {
            boolean buys = below(2) == 0;
            long away = 1 + Math.min(below(TICKS), below(TICKS));
            long price = MIDDLE + (buys ? -away : away) * TICK;
            newOrder(buys, price, 1 + below(10));
        }

        private void crossing() {
            boolean buys = below(2) == 0;
            long price = MIDDLE + (buys ? TICKS : -TICKS) * TICK;
            newOrder(buys, price, 1 + below(resting > RESTING ? 5 : 1));
        }

        private void newOrder(boolean buys, long price, long lots) {
            int account = (int) below(500) + (buys ? 1 : 501);
            int order = orders++;
            accounts[order] = account;
            int start = add(buys ? BUY : SELL, account, order, price, lots * LOT);
            at.apply(stream, start);
            places[order] = resting;
            if (at.book.getOrderById(order) != null) {
                live[resting++] = order;
            }
            for (MatcherTradeEvent e = at.command.matcherEvent; e != null; e = e.nextEvent) {
                if (e.matchedOrderCompleted) {
                    forget((int) e.matchedOrderId);
                }
            }
        }

        private void cancel() {
            int order = live[(int) below(resting)];
            at.apply(stream, add(CANCEL, accounts[order], order, 0, 0));
            forget(order);
        }

        private int add(long kind, long account, long order, long price, long quantity) {
            int start = length;
            stream[start] = kind | account << 2;
            stream[start + 1] = order;
            stream[start + 2] = price;
            stream[start + 3] = quantity;
            length += WORDS;
            return start;
        }

        private void forget(int order) {
            int place = places[order];
            resting--;
            live[place] = live[resting];
            places[live[place]] = place;
        }
    }

    public static void main(String[] arguments) {
        int commands = Integer.parseInt(arguments[0]);
        long[] stream = new Drawer(commands).stream;
        ThreadMXBean threads = ManagementFactory.getThreadMXBean();
        double[] rates = new double[ROUNDS];
        DirectBook last = null;
        for (int round = -WARM_UP_ROUNDS; round < ROUNDS; round++) {
            DirectBook run = new DirectBook();
            for (int n = 0; n < RESTING; n++) {
                run.apply(stream, n * WORDS);
            }
            run.trades = run.shares = run.cancelled = 0;
            System.gc();
            // Time that this thread has been running, as in the benchmark of our own book.
            long start = threads.getCurrentThreadCpuTime();
            for (int n = RESTING; n < RESTING + commands; n++) {
                run.apply(stream, n * WORDS);
            }
            long took = threads.getCurrentThreadCpuTime() - start;
            if (round >= 0) {
                rates[round] = commands * 1e3 / took;
            }
            last = run;
        }
        Arrays.sort(rates);
        System.out.printf("%.3f %.3f %.3f %d %d %d%n", rates[ROUNDS / 2], rates[0], rates[ROUNDS - 1],
            last.trades, last.shares, last.cancelled);
    }
}
