import { elementsOf } from "../../common/dtype/elements.js"
import { Ranges } from "../../common/ranges.js"
import type { FlatPrimitive } from "../../common/struct/flat.js"
import { LAUNCH_WORDS, wordAt } from "../control/layout.js"
import type { DeviceMemory } from "../control/memory.js"
import { argumentWords, parameterCode } from "../kernel/parameter-codes.js"
import { BESIDE, CHECK_WORDS, KIND_OF_RANGE_BITS, RANGE_COUNT, RANGE_WORDS, READ, WRITTEN } from "./check-words.js"
import { hasOddNan } from "./odd-nans.js"

/** Bytes that belong to an argument, or lie beside it. Addresses. */
export interface Part {
  readonly begin: number
  readonly end: number
  /** The index of the parameter; -1 for memory that is no argument. */
  readonly parameter: number
  /** Where the argument, or that memory, begins. */
  readonly origin: number
}

/** Bytes that must be the same after the launch. */
export interface Guarded extends Part {
  readonly kind: "written" | "beside"
  /** Where they are saved. */
  at: number
}

/** The memory of one launch, by how the launch may use it. */
export class LaunchAreas {
  readonly #reads: Part[] = []
  readonly #outputs: Part[] = []
  /** The arguments that it reads. */
  readonly #inputs: Part[] = []
  readonly #beside: Part[] = []
  /** What the launch may write, and what it may read before it writes it. */
  readonly #written = new Ranges()
  readonly #used = new Ranges()
  readonly #parameters: readonly FlatPrimitive[]
  /** Where the arrays begin, by their parameters. */
  readonly #origins: number[] = []

  constructor(words: Int32Array, at: number, check: number, parameters: readonly FlatPrimitive[]) {
    this.#parameters = parameters
    let word = at + LAUNCH_WORDS
    for (const [parameter, primitive] of parameters.entries()) {
      if (primitive.access !== undefined) {
        const begin = wordAt(words, word) >>> 0
        const end = begin + (wordAt(words, word + 1) >>> 0) * elementsOf(primitive.dtype).byteLength
        this.#origins[parameter] = begin
        this.#add(primitive.access, { begin, end, parameter, origin: begin })
      }
      word += argumentWords(parameterCode(primitive))
    }
    for (let index = 0; index < wordAt(words, check + RANGE_COUNT); index++) {
      this.#addRange(words, check + CHECK_WORDS + RANGE_WORDS * index)
    }
  }

  #add(access: "in" | "out" | "inout", part: Part): void {
    const { begin, end } = part
    if (access === "in") this.#reads.push(part)
    else this.#written.add(begin, end)
    if (access === "out") this.#outputs.push(part)
    else this.#used.add(begin, end)
    if (access !== "out") this.#inputs.push(part)
  }

  /** Whether an argument that the launch reads may contain NaNs with a payload. */
  readsOddNans(memory: DeviceMemory): boolean {
    return this.#inputs.some(({ begin, end, parameter }) => {
      const primitive = this.#parameters[parameter]
      return primitive !== undefined && hasOddNan(memory, primitive.dtype, begin, end)
    })
  }

  #addRange(words: Int32Array, at: number): void {
    const kind = wordAt(words, at)
    const begin = wordAt(words, at + 1) >>> 0
    const end = begin + (wordAt(words, at + 2) >>> 0)
    if ((kind & BESIDE) !== 0) {
      const parameter = kind >> KIND_OF_RANGE_BITS
      this.#beside.push({ begin, end, parameter, origin: this.#origins[parameter] ?? begin })
      return
    }
    this.#used.add(begin, end)
    if (kind === READ) this.#reads.push({ begin, end, parameter: -1, origin: begin })
    if (kind === WRITTEN) this.#written.add(begin, end)
  }

  /** What must not change. */
  guarded(): Guarded[] {
    const partsOf = (part: Part, kind: Guarded["kind"]): Guarded[] =>
      this.#written.outside(part.begin, part.end).map((range) => ({ ...part, ...range, kind, at: 0 }))
    return [
      ...this.#reads.flatMap((part) => partsOf(part, "written")),
      ...this.#beside.flatMap((part) => partsOf(part, "beside")),
    ]
  }

  /** The whole elements of `out` arguments that the launch neither reads nor writes through anything else. */
  outputs(): Part[] {
    const used = this.#used
    return this.#outputs.flatMap((part) => {
      const width = this.#widthOf(part)
      const parts = used.outside(part.begin, part.end).map(({ begin, end }) => ({
        ...part,
        begin: part.begin + Math.ceil((begin - part.begin) / width) * width,
        end: part.begin + Math.floor((end - part.begin) / width) * width,
      }))
      used.add(part.begin, part.end)
      return parts.filter(({ begin, end }) => begin < end)
    })
  }

  #widthOf({ parameter }: Part): number {
    const primitive = this.#parameters[parameter]
    return primitive === undefined ? 1 : elementsOf(primitive.dtype).byteLength
  }
}
