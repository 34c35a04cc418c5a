/**
 * Where things lie in the control memory, in 32-bit words. Both sides read it: the thread that opened the device queues
 * commands, the workers run them.
 *
 * Words that different threads write often stand on cache lines of their own (16 words), or each write would slow the
 * other thread's next read.
 */

/** Words of a cache line. */
export const LINE = 16

/** The mutex of the scheduler: 0 free, 1 held, 2 held and wanted. */
export const LOCK = 1 * LINE
/** One bit for each priority level that has a ready stream. Read without the lock by whoever looks for work. */
export const READY_MASK = 2 * LINE
/** How many streams are ready. This and all to `WATCHERS` only under the lock. */
export const READY_COUNT = READY_MASK + 1
/** Workers that look for work without sleeping. */
export const SPINNING = READY_MASK + 2
/** Workers that sleep, those that have been woken and have not run yet included. */
export const SLEEPING = READY_MASK + 3
/** Sleeping workers that have been woken. */
export const WAKING = READY_MASK + 4
/** First of the streams whose flat runs are looked at now and then. */
export const WATCHED_RUNS = READY_MASK + 5
/** Workers that look at them. */
export const WATCHERS = READY_MASK + 6
/** First of the ready lists' heads and tails, one of each for every level. */
export const READY_HEADS = 3 * LINE
export const READY_TAILS = 3 * LINE + 8
/** What sleeping workers wait on. */
export const DOORBELL = 4 * LINE
/** What the opening thread waits on; counts up when something that it waits for has happened. */
export const SIGNAL = 5 * LINE
/** First of the streams that have come to what the opening thread waits for. */
export const HOST_PASSED = 5 * LINE + 1
/** Streams that are not idle. */
export const ACTIVE = 6 * LINE
/** One of {@link OPEN}, {@link CLOSING} and {@link LOST}. */
export const LIFE = 7 * LINE
/** Counts the requests that every worker load a kernel. */
export const LOADS = 7 * LINE + 1
/** Words of the control memory in use, so that a worker knows when its view has become too short. */
export const EXTENT = 7 * LINE + 2
/** 1 once a stream has been broken, set before that stream is marked. */
export const ANY_BROKEN = 7 * LINE + 3
/** The first word that is given out. */
export const FIRST_FREE_WORD = 8 * LINE

/** Values of {@link LIFE}. */
export const OPEN = 0
export const CLOSING = 1
export const LOST = 2

/** Priority levels: 0 is served last (CUDA's priority 0), 5 first (CUDA's priority -5). */
export const LEVELS = 6

/** A stream's control block: words from its start. */
export const STREAM_WORDS = 3 * LINE
/** How many commands were ever queued, low word. Written by the opening thread alone. */
export const TAIL = 0
/** One of {@link IDLE}, {@link READY}, {@link RUNNING}, {@link WAITING}. */
export const STATE = 1
/** Priority level, 0 to 5. */
export const LEVEL = 2
/** How many commands have been run. Written by the worker that runs the stream, low word before high word. */
export const PROGRESS_LOW = LINE
export const PROGRESS_HIGH = LINE + 1
/** Who has to hear of progress: {@link STREAMS_WATCH} and {@link HOST_WATCHES}. */
export const WATCHED = LINE + 2
/** Where the next command is. */
export const READ = LINE + 3
/** 1 once a command has failed; the position behind that command. */
export const BROKEN = LINE + 4
export const BROKEN_LOW = LINE + 5
export const BROKEN_HIGH = LINE + 6
/** Inside a call: where the next command is in its block. 0 outside. */
export const BLOCK_READ = LINE + 7
/** Is the stream in the list that begins at {@link HOST_PASSED}, and which one comes next there? */
export const HOST_LISTED = LINE + 8
export const HOST_NEXT = LINE + 9
/** The next stream in the ready list or waiters' heap that this one is in, 0 at its end. */
export const NEXT = 2 * LINE
/** The streams that wait for this one, as a heap; those whose waits end when it breaks, too, are in a second one. */
export const WAITERS = 2 * LINE + 1
export const ENDING_WAITERS = LINE + 10
/** In such a heap: the first of the streams below this one. */
export const CHILD = 2 * LINE + 15
/** While waiting: the position of the other stream that is waited for. */
export const AWAITED_LOW = 2 * LINE + 2
export const AWAITED_HIGH = 2 * LINE + 3
/** The position that the opening thread wants to hear of. */
export const HOST_LOW = 2 * LINE + 4
export const HOST_HIGH = 2 * LINE + 5
/**
 * In a flat run: a number that counts up with each command, never the same twice in a row of runs, and the bits
 * {@link FLAT_RUNNING} and {@link FLAT_INTERRUPTED}. One word, so that who interrupts knows which command is under way.
 */
export const FLAT_STEP = 2 * LINE + 6
/** The number of the first command. */
export const FLAT_FIRST = 2 * LINE + 7
/** The call that is run. */
export const FLAT_CALL = 2 * LINE + 8
/** Where a flat run was left between two workers: the index of the command that comes next, or is under way. */
export const FLAT_INDEX = 2 * LINE + 9
/** The next stream whose flat runs are watched, whether this one is, and its step at the last look. */
export const WATCH_NEXT = 2 * LINE + 10
export const WATCH_LISTED = 2 * LINE + 11
export const WATCH_SEEN = 2 * LINE + 12
/** Of a stream that runs a branch of an interrupted flat run: the stream that the graph was launched on. Else 0. */
export const LAUNCHED_ON = 2 * LINE + 13

/** Values of {@link STATE}. */
export const IDLE = 0
export const READY = 1
export const RUNNING = 2
export const WAITING = 3

/** Bits of {@link WATCHED}. */
export const STREAMS_WATCH = 1
export const HOST_WATCHES = 2

/** A worker's control block: words from its start. */
export const WORKER_WORDS = LINE
/** 1 while the worker runs streams. */
export const BUSY = 0
/** The kernel that it ran or loaded last. */
export const KERNEL = 1
/** 1 once the worker serves streams. */
export const STARTED = 2

/** Words of one piece of a stream's queue. */
export const CHUNK_WORDS = 2048

/** A command's first word: its kind in the low 8 bits, its length in words above. */
export const KIND_BITS = 8
export const KIND_MASK = 0xff
/** [next chunk]: the queue goes on there. The only command that no position counts. */
export const LINK = 1
/** [kernel, grid x, y, z, block x, y, z, shared memory, arguments...] */
export const LAUNCH = 2
/** [destination, source, bytes] */
export const COPY = 3
/** [destination, element's bytes, element low, element high, count] */
export const FILL = 4
/** [stream, position low, position high, how] */
export const WAIT = 5
/** [8-byte slot, as a word index]: writes the time there. */
export const STAMP = 6
/** [failure]: breaks the stream because of a failure that the opening thread knows. */
export const BREAK = 7

/**
 * [flag, a whole launch]: the launch, unless the opening thread has set the flag before it begins. Then it breaks its
 * stream, as a kernel that fails does.
 */
export const DROPPABLE = 15
/** Words of it ahead of the launch. */
export const DROPPABLE_WORDS = 2

/**
 * [block, words of the block, count of its commands, table, how]: runs a graph's branch. It counts as so many commands.
 * The table has three words for each branch: its stream, and the position of that stream before the call.
 */
export const CALL = 9
/** In a block: [branch, position behind the call's beginning] */
export const WAIT_BRANCH = 10
/** In a block: nothing. Counts a conditional, which it ends. */
export const END = 11
/**
 * The jumps of a conditional. The first word is always how many words further the next command is, from the jump's own
 * beginning. None is ever the last command of a block. [distance]
 */
export const JUMP = 12
/** [distance, address]: jumps if the int32 there is zero, or the stream is broken. */
export const JUMP_IF_ZERO = 13
/** [distance, address]: jumps if the int32 there is not zero, or the stream is broken. */
export const JUMP_UNLESS_ZERO = 14

/** Words of a wait. */
export const WAIT_WORDS = 5
/** How a stream waits, in bits: it breaks if the other one was broken before the position; that ends the wait. */
export const TAKES_OVER = 1
export const ENDS_BROKEN = 2
/** Words of a call without a table. */
export const CALL_WORDS = 6
/** Behind these, in a call that is run flat: the flat block. */
export const CALL_FLAT = CALL_WORDS
export const FLAT_CALL_WORDS = CALL_WORDS + 1
/** How a call is run, in bits: all branches by one worker, from the flat block; noting the time. */
export const ALONE = 1
export const MEASURED = 2
/** A block begins with the time that its commands have taken, in milliseconds, as a double. */
export const TIME_WORDS = 2
/** Words of each branch in a call's table. */
export const TABLE_ENTRY_WORDS = 3

/** Bits of {@link FLAT_STEP}, and its number. */
export const FLAT_INTERRUPTED = 1 << 31
export const FLAT_RUNNING = 1 << 30
export const FLAT_NUMBER = FLAT_RUNNING - 1

/**
 * A flat block: all commands of a graph in one order, without the waits between branches. Words from its start: 1 once
 * a run was interrupted, how many commands and branches there are, where the table of the branches is, their calls, the
 * places of the commands, the commands and their end.
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
 * A command's place, words from its start: its branch, how many commands come before it there, where it begins and ends
 * in that branch's block, and where it begins in the flat one.
 */
export const PLACE_BRANCH = 0
export const PLACE_INDEX = 1
export const PLACE_START = 2
export const PLACE_END = 3
export const PLACE_FLAT = 4
export const PLACE_WORDS = 5

/** In a block: another branch waits for the position behind this command. */
export const PUBLISH = 1 << 30
/** In a block: the command is part of a conditional, and no position counts it. */
export const INSIDE = 1 << 29
/** A command's length in words, once shifted down: what a block's flags leave of it. */
export const LENGTH_MASK = 0x1fffff

/** [destination, bytes, the bytes themselves...] */
export const WRITE = 8

/** The longest upload, in bytes, that is carried in its command. */
export const MAX_WRITE_BYTES = 4096
/** Words of a launch before its arguments. */
export const LAUNCH_WORDS = 9
/** The longest command; a link has to fit behind it. */
export const MAX_COMMAND_WORDS = CHUNK_WORDS - 2 - DROPPABLE_WORDS

/** Is position (high, low) at or behind the position (ofHigh, ofLow)? The words are as they come from an Int32Array. */
export function hasReached(high: number, low: number, ofHigh: number, ofLow: number): boolean {
  return high === ofHigh ? low >>> 0 >= ofLow >>> 0 : high >>> 0 > ofHigh >>> 0
}

/** Has a stream reached a position? The two words are read so that a write in between makes it too little at most. */
export function hasProgressed(words: Int32Array, stream: number, ofHigh: number, ofLow: number): boolean {
  for (;;) {
    const high = Atomics.load(words, stream + PROGRESS_HIGH)
    const low = Atomics.load(words, stream + PROGRESS_LOW)
    if (Atomics.load(words, stream + PROGRESS_HIGH) === high) return hasReached(high, low, ofHigh, ofLow)
  }
}

/** A position's words as one number. */
export function position(high: number, low: number): number {
  return (high >>> 0) * 0x1_0000_0000 + (low >>> 0)
}

/** The high word of a position; the low one is `position | 0`. */
export function highWord(value: number): number {
  return Math.floor(value / 0x1_0000_0000) | 0
}
