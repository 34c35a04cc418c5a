/**
 * The words of a checked launch that follow those of the launch itself. The opening thread writes them, and the worker that
 * runs the launch reads them: how it is checked, the number of the call that queued it, and how many ranges follow. Each
 * range has its kind, its address and its bytes.
 */

export const HOW = 0
export const SITE = 1
export const RANGE_COUNT = 2
export const CHECK_WORDS = 3
export const RANGE_WORDS = 3

/** Bits of {@link HOW}: the checks, and whether a violation breaks the stream. */
export const ACCESSES = 1
export const UNWRITTEN = 2
export const BREAKS = 4

/** Kinds of ranges: the kernel reads it besides its arguments, writes it, or must not touch it. */
export const READ = 0
export const WRITTEN = 1
export const BESIDE = 2
/** A range beside an argument has the index of its parameter above these bits of its kind. */
export const KIND_OF_RANGE_BITS = 2
