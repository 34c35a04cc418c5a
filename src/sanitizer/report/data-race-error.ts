import { AuxstreamError } from "../../common/errors.js"
import type { Stream } from "../../runtime/device/stream.js"
import type { OperationKind } from "../../runtime/order/observer/operation.js"
import type { RegionName } from "../../runtime/order/observer/region.js"

/** One of the two accesses of a race. */
export interface RaceAccess {
  /** The kernel's name, or the kind of operation. For a graph, the name of the operation inside it. */
  readonly operation: string
  /** `"graph"` for an operation inside a launched graph. */
  readonly kind: OperationKind
  /** The kernel's argument: its index, counted from 0, or a path such as `2.table` for a field of a struct. */
  readonly argument: string | undefined
  /** The name of the module's global, if the memory is one. */
  readonly name: string | undefined
  /** How it uses the bytes. */
  readonly access: "read" | "write" | "readwrite"
  /** The device's id, such as `"cuda:0"`. */
  readonly device: string
  /** The stream on which it was queued: its name, and its id in {@link Stream.id}. */
  readonly stream: {
    /** The stream's name. */
    readonly name: string
    /** The stream's id. */
    readonly id: number
  }
  /** The fork-join call inside which it was queued, and the index of the function there; 0 is the main function. */
  readonly region:
    | {
        /** The function that was called, such as `"parallel"`. */
        readonly name: RegionName
        /** The index of the function in that call; undefined for work of the call itself. */
        readonly function: number | undefined
      }
    | undefined
  /** Where the program queued it, in the form of `error.stack`. Empty without stacks. */
  readonly stack: string
}

/** The call that would order the two accesses. */
export interface RaceFix {
  /** What to do, as a sentence. */
  readonly text: string
  /** The call as code, such as `aux.wait(main.record())`. */
  readonly call: string
  /** Where the call belongs: directly before this operation, with the line if stacks are on. */
  readonly before: string
  /** The stream that must wait; undefined if no wait of a stream can order the two. */
  readonly waiting: Stream | undefined
  /** The stream that must record. */
  readonly recording: Stream | undefined
}

/** The properties of a {@link DataRaceError}. */
export interface RaceFacts {
  /** The access that was about to be queued. */
  readonly current: RaceAccess
  /** The access that was queued before, and that nothing orders before `current`. */
  readonly previous: RaceAccess
  /** Bytes that both use. */
  readonly range: {
    /** The first one: a device address; on the host device, an offset into its memory. */
    readonly address: number
    /** The number of bytes. */
    readonly byteLength: number
  }
  /** Where the memory was allocated, in the form of `error.stack`; empty if that is not known. */
  readonly allocation: string
  /** The order that is missing, as a sentence. */
  readonly missing: string
  /** The call that would order the two. */
  readonly fix: RaceFix
}

/**
 * Two operations on different streams use the same bytes, at least one of them writes, and the program does not order
 * them. So they may run in any order, or at the same time. The sanitizer throws this before the second one is queued;
 * see {@link startSanitizer}. Code `AUX_DATA_RACE`.
 *
 * PyTorch: `UnsynchronizedAccessError` of the CUDA sanitizer.
 */
export class DataRaceError extends AuxstreamError implements RaceFacts {
  /** Private, so that Node.js does not print whole streams below the text of an uncaught error. */
  readonly #facts: RaceFacts

  /** @hidden */
  constructor(message: string, facts: RaceFacts) {
    super("AUX_DATA_RACE", message)
    this.#facts = facts
  }

  /** The access that was about to be queued. */
  get current(): RaceAccess {
    return this.#facts.current
  }

  /** The access that was queued before. */
  get previous(): RaceAccess {
    return this.#facts.previous
  }

  /** Bytes that both use. */
  get range(): RaceFacts["range"] {
    return this.#facts.range
  }

  /** Where the memory was allocated, in the form of `error.stack`; empty if that is not known. */
  get allocation(): string {
    return this.#facts.allocation
  }

  /** The order that is missing, as a sentence. */
  get missing(): string {
    return this.#facts.missing
  }

  /** The call that would order the two. */
  get fix(): RaceFix {
    return this.#facts.fix
  }
}
