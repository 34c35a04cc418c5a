import { elementsOf } from "../../common/dtype/elements.js"
import { Ranges } from "../../common/ranges.js"
import type { FlatPrimitive } from "../../common/struct/flat.js"
import type { ControlMemory } from "../control/control.js"
import { LAUNCH_WORDS, wordAt } from "../control/layout.js"
import type { DeviceMemory } from "../control/memory.js"
import {
  ACCESSES,
  BESIDE,
  BREAKS,
  CHECK_WORDS,
  HOW,
  KIND_OF_RANGE_BITS,
  RANGE_COUNT,
  RANGE_WORDS,
  READ,
  SITE,
  UNWRITTEN,
  WRITTEN,
} from "./check-words.js"
import type { KernelCheck } from "./kernel-check.js"
import type { LoadedKernel } from "./loaded-kernel.js"
import { argumentWords, parameterCode } from "./parameter-codes.js"
import { patternFor } from "./patterns.js"
import type { SavedBytes } from "./saved-bytes.js"
import { type Violation, ViolationFailure } from "./violations.js"
import { restoreUnwritten, watch, type WatchedElements } from "./watched-elements.js"

/** Bytes that belong to an argument, or lie beside it. Addresses. */
interface Part {
  readonly begin: number
  readonly end: number
  /** The index of the parameter; -1 for memory that is no argument. */
  readonly parameter: number
  /** Where the argument, or that memory, begins. */
  readonly origin: number
}

/** Bytes that must be the same after the launch. */
interface Guarded extends Part {
  readonly kind: "written" | "beside"
  /** Where they are saved. */
  at: number
}

/** The elements of an `out` argument that are watched. */
interface Watched extends Part {
  readonly elements: WatchedElements
}

/**
 * Runs a kernel and checks what it does to memory. Before the launch it copies what the kernel must not change, and compares
 * it afterwards; elements that the kernel should write get a pattern first. Other workers run meanwhile: only bytes that
 * no other operation may write at the same time are compared.
 */
export class CheckedKernel implements LoadedKernel {
  readonly #kernel: LoadedKernel
  readonly #check: KernelCheck
  readonly #memory: DeviceMemory
  readonly #saved: SavedBytes
  readonly #tell: (violation: Violation) => void

  /** @param tell called with violations that break nothing */
  constructor(
    kernel: LoadedKernel,
    check: KernelCheck,
    memory: DeviceMemory,
    saved: SavedBytes,
    tell: (violation: Violation) => void,
  ) {
    this.#kernel = kernel
    this.#check = check
    this.#memory = memory
    this.#saved = saved
    this.#tell = tell
  }

  /** Throws what the kernel throws, or a {@link ViolationFailure}. */
  run(control: ControlMemory, at: number): void {
    const { words } = control
    const check = at + this.#check.words
    const how = wordAt(words, check + HOW)
    const launch = new LaunchAreas(words, at, check, this.#check.parameters)
    const guarded = (how & ACCESSES) === 0 ? [] : launch.guarded()
    const outputs = (how & UNWRITTEN) === 0 ? [] : launch.outputs()
    this.#saved.reset(sizeOf(guarded) + sizeOf(outputs))
    for (const part of guarded) part.at = this.#saved.save(part)
    const watched = outputs.flatMap((part) => this.#watch(part))
    try {
      this.#kernel.run(control, at)
    } catch (error) {
      for (const { elements } of watched) restoreUnwritten(this.#memory, elements, this.#saved)
      throw error
    }
    this.#conclude(guarded, watched, how, wordAt(words, check + SITE))
    this.#saved.release()
  }

  #watch(part: Part): Watched[] {
    const primitive = this.#check.parameters[part.parameter]
    const pattern = primitive && patternFor(primitive.dtype)
    if (pattern === undefined || part.begin % pattern.width !== 0) return []
    const { begin, end } = part
    const elements = { begin, end, pattern, at: this.#saved.save(part) }
    watch(this.#memory, elements)
    return [{ ...part, elements }]
  }

  #conclude(guarded: readonly Guarded[], watched: readonly Watched[], how: number, site: number): void {
    const found: Violation[] = []
    for (const part of guarded) this.#note(found, part.kind, part, this.#saved.changed(part.at, part), site)
    for (const part of watched) {
      const left = restoreUnwritten(this.#memory, part.elements, this.#saved)
      this.#note(found, "unwritten", part, left, site)
    }
    const [first] = found
    if (first === undefined) return
    if ((how & BREAKS) !== 0) throw new ViolationFailure(first)
    for (const violation of found) this.#tell(violation)
  }

  /** Adds a finding. Those of the same kind and argument become one. */
  #note(
    found: Violation[],
    kind: Violation["kind"],
    { parameter, origin }: Part,
    bytes: { begin: number; end: number } | undefined,
    site: number,
  ): void {
    if (bytes === undefined) return
    const primitive = this.#check.parameters[parameter]
    const argument = primitive?.path
    const width = primitive === undefined || kind === "beside" ? undefined : elementsOf(primitive.dtype).byteLength
    const known = found.findIndex((other) => other.kind === kind && other.argument === argument)
    const { begin, end } = found[known] ?? { begin: Infinity, end: -Infinity }
    const violation = {
      kind,
      argument,
      begin: Math.min(begin, roundTo(width, bytes.begin - origin, Math.floor)),
      end: Math.max(end, roundTo(width, bytes.end - origin, Math.ceil)),
      width,
      site,
    }
    if (known < 0) found.push(violation)
    else found[known] = violation
  }
}

/** The memory of one launch, by how the launch may use it. */
class LaunchAreas {
  readonly #reads: Part[] = []
  readonly #outputs: Part[] = []
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

/** Rounds bytes to whole elements. */
function roundTo(width: number | undefined, bytes: number, round: (value: number) => number): number {
  return width === undefined ? bytes : round(bytes / width) * width
}

function sizeOf(parts: readonly Part[]): number {
  return parts.reduce((sum, { begin, end }) => sum + end - begin, 0)
}
