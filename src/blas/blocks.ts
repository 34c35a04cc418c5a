// How the host device's product is cut up, in elements. Shared by the kernels, which are AssemblyScript, and by
// host.ts, which gives them their scratch memory: hence no types here, and nothing but products of numbers.

/** The largest block of the result: its sums, in float32, stay in the second-level cache. */
export const BLOCK_ROWS = 240
export const BLOCK_COLUMNS = 512
/** How much of the shared dimension is packed at a time. */
export const BLOCK_DEPTH = 256

/** Added to each packed panel, in bytes: else every panel of a block would begin in the same set of the cache. */
export const PANEL_PADDING = 64

/** The most rows that are multiplied without packing, and their blocks. */
export const FEW_ROWS = 8
export const FEW_ROWS_COLUMNS = 8192
export const FEW_ROWS_DEPTH = 4096

/** What `multiply` needs at most, in bytes: sums, packed right matrix, packed left one in panels of at least four. */
export const SCRATCH_BYTES =
  BLOCK_ROWS * BLOCK_COLUMNS * 4 +
  BLOCK_COLUMNS * BLOCK_DEPTH * 4 +
  BLOCK_ROWS * BLOCK_DEPTH * 4 +
  (BLOCK_COLUMNS + BLOCK_ROWS) * PANEL_PADDING
