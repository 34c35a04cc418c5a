/**
 * Handles: numbers that only their driver understands. A driver may reuse the number of a destroyed object, so code above
 * the seam must never use a handle as a key, and never depend on its shape.
 */

/** A stream's handle in its driver. */
export type StreamHandle = number

/** An event's handle in its driver. */
export type EventHandle = number

/** The handle of a kernel that is loaded on one device. */
export type KernelHandle = number

/** An executable graph's handle in its driver. */
export type GraphHandle = number

/** The handle of one operation of a graph: it belongs to one capture, and is valid until `destroy` or the next update. */
export type NodeHandle = number
