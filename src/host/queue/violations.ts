/**
 * Turns what a worker's check has found into an error. A checked command has only the number of the call that queued it. The
 * call itself is kept here, once however often the same place in the program queues the same operation.
 */
import { AccessViolationError } from "../../common/errors.js"
import type { CheckedOperation } from "../../driver/checks.js"
import type { Violation } from "../kernel/violations.js"

/** This many different calls are kept. With more than that in the queues, errors may name a later call. */
const MOST_SITES = 16_384

/** A call that queued a checked operation. */
export interface Site extends CheckedOperation {
  /** For pinned memory: the argument that it is, and where the compared bytes begin in it. */
  readonly argument: string | undefined
  readonly offset: number
}

export class Violations {
  readonly #sites: Site[] = []
  readonly #numbers = new Map<string, number>()
  readonly #keys: string[] = []
  #next = 0

  /** The number of a call. */
  numberOf(operation: CheckedOperation, argument?: string, offset = 0): number {
    const { label, stream, stack } = operation
    const key = JSON.stringify([label, stream, stack, argument, offset])
    return this.#numbers.get(key) ?? this.#add(key, { label, stream, stack, argument, offset })
  }

  #add(key: string, site: Site): number {
    const number = this.#next
    const former = this.#keys[number]
    if (former !== undefined) this.#numbers.delete(former)
    this.#keys[number] = key
    this.#sites[number] = site
    this.#numbers.set(key, number)
    this.#next = (number + 1) % MOST_SITES
    return number
  }

  /** @param kernel the kernel that was checked; empty for another operation */
  errorOf(kernel: string, violation: Violation, isBroken: boolean): AccessViolationError {
    const site = this.#sites[violation.site] ?? { label: kernel, stream: "", stack: "", argument: undefined, offset: 0 }
    const { kind } = violation
    const argument = violation.argument ?? site.argument
    const begin = violation.begin + site.offset
    const end = violation.end + site.offset
    const label = kernel === "" ? site.label : kernel
    const text = textOf(kind, label, argument, placeOf(begin, end, violation.width), site.stream)
    const consequence = isBroken ? " The stream stays broken until you dispose of it." : ""
    const where = site.stack === "" ? "" : `\nIt was queued here:\n${site.stack}`
    const details = { kind, argument, begin, end, stream: site.stream, launchStack: site.stack }
    return new AccessViolationError(`${text}${consequence}${where}`, label, details)
  }
}

function placeOf(begin: number, end: number, width: number | undefined): string {
  const bytes = `bytes ${begin} to ${end - 1}`
  if (width === undefined) return bytes
  const [first, last] = [begin / width, end / width - 1]
  return first === last ? `element ${first} (${bytes})` : `elements ${first} to ${last} (${bytes})`
}

function textOf(
  kind: Violation["kind"],
  label: string,
  argument: string | undefined,
  place: string,
  stream: string,
): string {
  const on = stream === "" ? "" : ` on ${stream}`
  switch (kind) {
    case "written":
      return argument === undefined
        ? `Kernel "${label}"${on} changed ${place} of memory that it only reads: an array in \`uses.reads\`, or a constant ` +
            "global. Name the array in `uses.writes`, too."
        : `Kernel "${label}"${on} changed ${place} of argument ${argument}, which its signature declares \`in\`. Declare it ` +
            "`inout`. If this kernel does not write it, other work did at the same time."
    case "beside":
      return (
        `Kernel "${label}"${on} wrote beside the memory of argument ${argument}: ${place}, counted from where the argument ` +
        "begins. Check the bounds of its loops, and the sizes of its arguments."
      )
    case "unwritten":
      return (
        `Kernel "${label}"${on} left elements of argument ${argument} unwritten, which its signature declares \`out\`: ` +
        `${place}, or some of them. They keep their former contents.`
      )
    case "changed":
      return (
        `Pinned memory changed while a queued operation still had to read it: ${place} of ` +
        `${argument === undefined ? `the source of a ${label}` : `argument ${argument} of kernel "${label}"`}${on}. Wait for ` +
        "the stream before you write to the array."
      )
  }
}
