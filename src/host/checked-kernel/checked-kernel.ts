import { elementsOf } from "../../common/dtype/elements.js"
import type { ControlMemory } from "../control/control.js"
import { wordAt } from "../control/layout.js"
import type { DeviceMemory } from "../control/memory.js"
import { ACCESSES, BREAKS, HOW, SITE, UNWRITTEN } from "./check-words.js"
import { type Guarded, LaunchAreas, type Part } from "./launch-areas.js"
import type { KernelCheck } from "../kernel/kernel-check.js"
import type { LoadedKernel } from "../kernel/loaded-kernel.js"
import { patternFor } from "./patterns.js"
import type { SavedBytes } from "./saved-bytes.js"
import { type Violation, ViolationFailure } from "../kernel/violations.js"
import { restoreUnwritten, watch, type WatchedElements } from "./watched-elements.js"

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
    const outputs = (how & UNWRITTEN) === 0 || !this.#check.watchesOutputs ? [] : launch.outputs()
    this.#saved.reset(sizeOf(guarded) + sizeOf(outputs))
    for (const part of guarded) part.at = this.#saved.save(part)
    const watched = outputs.flatMap((part) => this.#watch(part, launch))
    try {
      this.#kernel.run(control, at)
    } catch (error) {
      for (const { elements } of watched) restoreUnwritten(this.#memory, elements, this.#saved)
      throw error
    }
    this.#conclude(guarded, watched, how, wordAt(words, check + SITE))
    this.#saved.release()
  }

  #watch(part: Part, launch: LaunchAreas): Watched[] {
    const primitive = this.#check.parameters[part.parameter]
    const pattern = primitive && patternFor(primitive.dtype)
    if (pattern === undefined || part.begin % pattern.width !== 0) return []
    if (pattern.width === 2 && launch.readsOddNans(this.#memory)) return []
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

/** Rounds bytes to whole elements. */
function roundTo(width: number | undefined, bytes: number, round: (value: number) => number): number {
  return width === undefined ? bytes : round(bytes / width) * width
}

function sizeOf(parts: readonly Part[]): number {
  return parts.reduce((sum, { begin, end }) => sum + end - begin, 0)
}
