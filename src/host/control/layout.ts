/**
 * The layout of the control memory, in 32-bit words. The thread that opened the device writes commands there, and the
 * workers read them.
 *
 * Words that different threads write often have separate cache lines (16 words): otherwise each write would slow the
 * other thread's next read.
 */

/** Words per cache line. */
export const LINE = 16

/** The scheduler's mutex: 0 free, 1 locked, 2 locked with waiters. */
export const LOCK = 1 * LINE
/** One bit for each priority level with a ready stream. Workers that look for work read it without the lock. */
export const READY_MASK = 2 * LINE
/** How many streams are ready. This word and those down to `WATCHERS` are used only under the lock. */
export const READY_COUNT = READY_MASK + 1
/** How many workers spin for work. */
export const SPINNING = READY_MASK + 2
/** How many workers sleep, including those that were woken and have not run yet. */
export const SLEEPING = READY_MASK + 3
/** How many of the sleeping workers were woken. */
export const WAKING = READY_MASK + 4
/** The first stream of the list that the watcher checks for flat runs that stand still. */
export const WATCHED_RUNS = READY_MASK + 5
/** 1 while a worker is the watcher. */
export const WATCHERS = READY_MASK + 6
/** The heads and the tails of the ready lists, one of each per level. */
export const READY_HEADS = 3 * LINE
export const READY_TAILS = 3 * LINE + 8
/** Sleeping workers wait on this word. */
export const DOORBELL = 4 * LINE
/** The opening thread waits on this word. It counts up when a watched position has been passed. */
export const SIGNAL = 5 * LINE
/** The first stream of the list of those that have passed a position which the opening thread watches. */
export const HOST_PASSED = 5 * LINE + 1
/** How many streams are not idle. */
export const ACTIVE = 6 * LINE
/** 0 while the device is open, then {@link CLOSING} or {@link LOST}. */
export const LIFE = 7 * LINE
/** Counts the requests to load a kernel on every worker. */
export const LOADS = 7 * LINE + 1
/** How many words of the control memory are in use. Workers compare it with their view's length. */
export const EXTENT = 7 * LINE + 2
/** 1 once any stream has broken. Set before that stream is marked. */
export const ANY_BROKEN = 7 * LINE + 3
/** The first word that can be reserved. */
export const FIRST_FREE_WORD = 8 * LINE

/** Values of {@link LIFE}. */
export const CLOSING = 1
export const LOST = 2

/** Priority levels: 0 is served last (CUDA's priority 0), 5 first (CUDA's priority -5). */
export const LEVELS = 6

/** A stream's control block: offsets in words. */
export const STREAM_WORDS = 3 * LINE
/** How many commands were ever queued, low word. Only the opening thread writes it. */
export const TAIL = 0
/** One of {@link IDLE}, {@link READY}, {@link RUNNING}, {@link WAITING}. */
export const STATE = 1
/** Priority level, 0 to 5. */
export const LEVEL = 2
/** How many commands have run. The worker that runs the stream writes it, low word before high word. */
export const PROGRESS_LOW = LINE
export const PROGRESS_HIGH = LINE + 1
/** The threads that must be told about progress: {@link STREAMS_WATCH} and {@link HOST_WATCHES}. */
export const WATCHED = LINE + 2
/** The index of the next command. */
export const READ = LINE + 3
/** 1 once a command has failed, and the position after that command. */
export const BROKEN = LINE + 4
export const BROKEN_LOW = LINE + 5
export const BROKEN_HIGH = LINE + 6
/** Inside a call: the index of the next command of its block. 0 otherwise. */
export const BLOCK_READ = LINE + 7
/** 1 while the stream is in the list that begins at {@link HOST_PASSED}, and the next stream there. */
export const HOST_LISTED = LINE + 8
export const HOST_NEXT = LINE + 9
/** The next stream in the ready list or in the heap of waiters; 0 at the end. */
export const NEXT = 2 * LINE
/** The heap of streams that wait for this one, and a second heap of those whose wait also ends when this one breaks. */
export const WAITERS = 2 * LINE + 1
export const ENDING_WAITERS = LINE + 10
/** In such a heap: the first child of this stream. */
export const CHILD = 2 * LINE + 15
/** While waiting: the awaited position of the other stream. */
export const AWAITED_LOW = 2 * LINE + 2
export const AWAITED_HIGH = 2 * LINE + 3
/** The next position that the opening thread watches. */
export const HOST_LOW = 2 * LINE + 4
export const HOST_HIGH = 2 * LINE + 5
/**
 * In a flat run: a number that counts up with each command and does not repeat from one run to the next, and the bits
 * {@link FLAT_RUNNING} and {@link FLAT_INTERRUPTED}. One word, so that the interrupter knows the running command.
 */
export const FLAT_STEP = 2 * LINE + 6
/** The number of the first command. */
export const FLAT_FIRST = 2 * LINE + 7
/** The call being run. */
export const FLAT_CALL = 2 * LINE + 8
/** When a flat run passes between workers: the index of the command that is next, or has begun. */
export const FLAT_INDEX = 2 * LINE + 9
/** The next stream in the watcher's list, 1 while this one is in it, and its step at the last check. */
export const WATCH_NEXT = 2 * LINE + 10
export const WATCH_LISTED = 2 * LINE + 11
export const WATCH_SEEN = 2 * LINE + 12
/** While the stream runs a branch of an interrupted flat run: the stream that the graph was launched on. Otherwise 0. */
export const LAUNCHED_ON = 2 * LINE + 13

/** Values of {@link STATE}. */
export const IDLE = 0
export const READY = 1
export const RUNNING = 2
export const WAITING = 3

/** Bits of {@link WATCHED}. */
export const STREAMS_WATCH = 1
export const HOST_WATCHES = 2

/** A worker's control block: offsets in words. */
export const WORKER_WORDS = LINE
/** 1 while the worker runs streams. */
export const BUSY = 0
/** The kernel that it last ran or loaded. */
export const KERNEL = 1
/** 1 once the worker serves streams. */
export const STARTED = 2
/** If launches have a time limit: counts up when a launch begins and when it ends, so it is odd while one runs. */
export const RUNS = 3
/** The control block of that launch's stream; 0 while a kernel is loaded. */
export const RUN_STREAM = 4
/** The index of its ring of times; 0 if it has none. */
export const RING = 5

/**
 * A ring into which one worker writes when commands ran, and which the opening thread empties. Offsets in words: how many
 * records were written and how many lost, by the worker; how many were read, by the opening thread; and how many there is
 * room for, a power of two. The records follow.
 */
export const RING_WRITTEN = 0
export const RING_LOST = 1
export const RING_READ = LINE
export const RING_CAPACITY = LINE + 1
export const RING_WORDS = 2 * LINE
/**
 * A record, offsets in words: the stream and the position before the command; for a command of a graph's block those of the
 * launch, and also the command's kind, its kernel, its branch and its index. Then when it began and ended, as doubles.
 */
export const TIMED_STREAM = 0
export const TIMED_LOW = 1
export const TIMED_HIGH = 2
export const TIMED_KIND = 3
export const TIMED_KERNEL = 4
export const TIMED_BRANCH = 5
export const TIMED_AT = 6
export const TIMED_TIMES = 8
export const RECORD_WORDS = 12

/** Words per chunk of a stream's queue. */
export const CHUNK_WORDS = 2048

/** A command's first word holds its kind in the low 8 bits, and its length in words above them. */
export const KIND_BITS = 8
export const KIND_MASK = 0xff
/** In a block: a disabled command, whose words stay. Workers skip kinds that they do not know. */
export const NOTHING = 0
/** [next chunk]: the queue continues there. Positions do not count it. */
export const LINK = 1
/** [kernel, grid x, y, z, block x, y, z, shared memory, arguments..., the bytes of structs...] */
export const LAUNCH = 2
/** [destination, source, bytes] */
export const COPY = 3
/** [destination, element's bytes, element low, element high, count] */
export const FILL = 4
/** [stream, position low, position high, how] */
export const WAIT = 5
/** [8-byte slot, as a word index]: writes the time there. */
export const STAMP = 6
/** [failure]: breaks the stream, because of a failure that the opening thread knows by this number. */
export const BREAK = 7

/** [destination, source, bytes of a row, rows, bytes from one row to the next at the destination, and at the source] */
export const COPY_ROWS = 12
/** [destination, element's bytes, element low, element high, elements of a row, rows, bytes from one row to the next] */
export const FILL_ROWS = 13

/**
 * [address, copy, bytes, site, how]: compares memory with an earlier copy of it. `check-words.ts` has the bits of how; the
 * site is the number of the call that queued it. A difference is a violation.
 */
export const COMPARE = 14

/**
 * [flag, a whole launch]: runs the launch. If the opening thread has set the flag before, it breaks the stream instead,
 * like a kernel that fails.
 */
export const DROPPABLE = 15
/** Words before its launch. */
export const DROPPABLE_WORDS = 2

/**
 * [block, words of the block, count of its commands, table, how]: runs a graph's branch, and counts as all its commands.
 * The table has three words per branch: its stream, and that stream's position before the call.
 */
export const CALL = 9
/** In a block: [branch, position relative to the call's beginning] */
export const WAIT_BRANCH = 10
/** In a block: []. Ends a conditional, and is the one command of it that positions count. */
export const END = 11
/**
 * [distance]: the jumps of a conditional. The distance counts words from the jump's beginning to the next command. A block
 * never ends with a jump.
 */
export const JUMP = 16
/** [distance, address]: jumps if the int32 there is zero, or the stream is broken. */
export const JUMP_IF_ZERO = 17
/** [distance, address]: jumps if the int32 there is not zero, or the stream is broken. */
export const JUMP_UNLESS_ZERO = 18

/** Words per wait. */
export const WAIT_WORDS = 5
/** Bits of a wait: the stream breaks if the other one broke before the position; the other's break ends the wait. */
export const TAKES_OVER = 1
export const ENDS_BROKEN = 2
/** Words per call without its table. */
export const CALL_WORDS = 6
/** After these, in a call that is run flat: its flat block. */
export const CALL_FLAT = CALL_WORDS
export const FLAT_CALL_WORDS = CALL_WORDS + 1
/** Bits of a call: one worker runs all branches, from the flat block; the time is measured. */
export const ALONE = 1
export const MEASURED = 2
/** Bit of a call: the worker notes when each command of the block ran. */
export const TIMED_NODES = 4
/** A block begins with a double: the time that its commands took, in milliseconds. */
export const TIME_WORDS = 2
/** Words per branch in a call's table. */
export const TABLE_ENTRY_WORDS = 3

/** The bits of {@link FLAT_STEP}, and the mask of its number. */
export const FLAT_INTERRUPTED = 1 << 31
export const FLAT_RUNNING = 1 << 30
export const FLAT_NUMBER = FLAT_RUNNING - 1

/**
 * A flat block: all commands of a graph in one order, without the waits between branches. Offsets in words: 1 once a run
 * was interrupted, the counts of commands and branches, and the indices of the branches' table, of their calls, of the
 * commands' places, of the commands, and of their end.
 */
export const FLAT_WAS_INTERRUPTED = 0
export const FLAT_COUNT = 1
export const FLAT_BRANCHES = 2
export const FLAT_TABLE = 3
export const FLAT_CALLS = 4
export const FLAT_PLACES = 5
export const FLAT_START = 6
export const FLAT_END = 7
export const FLAT_HEADER_WORDS = 8
/**
 * A command's place, offsets in words: its branch, how many commands of the branch precede it, where it begins and ends in
 * the branch's block, and where it begins in the flat block.
 */
export const PLACE_BRANCH = 0
export const PLACE_INDEX = 1
export const PLACE_START = 2
export const PLACE_END = 3
export const PLACE_FLAT = 4
export const PLACE_WORDS = 5

/** In a queue, a command's flag: the worker notes when it ran. It is the sign bit, which one comparison finds. */
export const TIMED = 1 << 31
/** In a block, a command's flag: another branch waits for the position after it. */
export const PUBLISH = 1 << 30
/** In a block, a command's flag: it is part of a conditional, and positions do not count it. */
export const INSIDE = 1 << 29
/** The mask of a command's length once it is shifted down, without the flags above. */
export const LENGTH_MASK = 0x1fffff

/** [destination, bytes, the bytes themselves...] */
export const WRITE = 8

/** The longest upload that fits in its command, in bytes. */
export const MAX_WRITE_BYTES = 4096
/** Words per launch before its arguments. */
export const LAUNCH_WORDS = 9
/** Words of the longest command: a link must fit after it. */
export const MAX_COMMAND_WORDS = CHUNK_WORDS - 2 - DROPPABLE_WORDS

/**
 * The word at an index. Indices come from this layout and from commands, so they lie inside the memory, but to TypeScript
 * an indexed read may be undefined. The one cast is here. The engine inlines the call.
 */
export function wordAt(words: Int32Array, index: number): number {
  return words[index] as number
}

/** Whether the position (high, low) has reached the position (ofHigh, ofLow). All four are signed 32-bit words. */
export function hasReached(high: number, low: number, ofHigh: number, ofLow: number): boolean {
  return high === ofHigh ? low >>> 0 >= ofLow >>> 0 : high >>> 0 > ofHigh >>> 0
}

/** Whether a stream has reached a position. A write between the two reads can only make the progress seem smaller. */
export function hasProgressed(words: Int32Array, stream: number, ofHigh: number, ofLow: number): boolean {
  for (;;) {
    const high = Atomics.load(words, stream + PROGRESS_HIGH)
    const low = Atomics.load(words, stream + PROGRESS_LOW)
    if (Atomics.load(words, stream + PROGRESS_HIGH) === high) return hasReached(high, low, ofHigh, ofLow)
  }
}

/** A position as one number, from its two words. */
export function position(high: number, low: number): number {
  return (high >>> 0) * 0x1_0000_0000 + (low >>> 0)
}

/** The high word of a position; the low one is `position | 0`. */
export function highWord(value: number): number {
  return Math.floor(value / 0x1_0000_0000) | 0
}
