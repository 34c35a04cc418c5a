/**
 * What a trace's analysis finds: plain objects, so that the report, `toJSON()` and the page share them. Times are nanoseconds.
 * All come from unions of intervals, never from sums of durations.
 */

/** How much of the work of several streams ran side by side. */
export interface OverlapFigures {
  /** For each stream the time in which it ran something, summed over the streams, in nanoseconds. */
  readonly busy: number
  /** The time in which at least one stream ran something, in nanoseconds. */
  readonly union: number
  /** The time in which the busiest stream ran something, in nanoseconds. */
  readonly longest: number
  /** (busy − union) ÷ (busy − longest), from 0 to 1; undefined if fewer than two streams ran something. */
  readonly overlap?: number
}

/** The figures of a device. */
export interface DeviceFigures extends OverlapFigures {
  /** The index of the device. */
  readonly device: number
  /** The nanoseconds between its first and its last operation in which nothing ran, by cause. */
  readonly idle: {
    /** The host had queued nothing. */
    readonly host: number
    /** Between operations of one stream: launch latency. */
    readonly gaps: number
    /** Streams waited for records. */
    readonly waits: number
    /** An operation was ready and did not start. */
    readonly unexplained: number
  }
}

/** Why a fork-join gained less than its shorter branches took. */
export type LossReason =
  /** The host had not yet queued the operations. */
  | "launch gaps"
  /** Streams waited for each other. */
  | "waits"
  /** One branch took longer than the others together. */
  | "unequal branches"
  /** Operations took longer side by side than alone. Known only where both ways ran. */
  | "contention"
  /** It ran in sequence. */
  | "sequential"
  /** An operation was ready and did not start. */
  | "unexplained"

/** The figures of a fork-join. */
export interface RegionFigures extends OverlapFigures {
  /** The index of the region. */
  readonly region: number
  /** What running side by side saved, in nanoseconds. */
  readonly gained: number
  /** What could have been saved besides, by cause, the largest first. */
  readonly lost: readonly {
    /** The cause. */
    readonly why: LossReason
    /** Nanoseconds. */
    readonly time: number
  }[]
  /** The median time of the same fork-join where it ran in sequence, in nanoseconds; undefined if it never did. */
  readonly sequential?: number
}

/** What the analysis of a trace found. */
export interface TraceFigures {
  /** Of all streams of all devices. */
  readonly total: OverlapFigures
  /** One entry for each device that ran something. */
  readonly devices: readonly DeviceFigures[]
  /** One entry for each fork-join. */
  readonly regions: readonly RegionFigures[]
  /** The indices of the operations that determined when the last one ended, the first one first. */
  readonly criticalPath: readonly number[]
}
