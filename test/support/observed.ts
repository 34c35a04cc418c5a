import type { AnyArray } from "../../src/runtime/device/array/arrays.js"
import { OperationObserver } from "../../src/runtime/order/observer/observer.js"
import { observe } from "../../src/runtime/order/observer/observers.js"
import type { Access, Operation, OperationPlan } from "../../src/runtime/order/observer/operation.js"
import type { RecordPoint } from "../../src/runtime/order/record-point.js"
import type { StreamState } from "../../src/runtime/order/stream-state.js"

/** An observer that writes down what it sees as sentences, with the names that a test gives to arrays. It ends with `using`. */
export class Observed extends OperationObserver {
  readonly #lines: string[] = []
  readonly #names = new Map<object, { readonly name: string; readonly address: number }>()
  readonly #end: () => void

  constructor() {
    super()
    this.#end = observe(this)
  }

  [Symbol.dispose](): void {
    this.#end()
  }

  /** Names the memory of an array. Bytes are counted from where the array begins. */
  name(arrays: Readonly<Record<string, AnyArray>>): this {
    for (const [name, { allocation, address }] of Object.entries(arrays)) this.#names.set(allocation, { name, address })
    return this
  }

  /** What was seen since the last call. */
  take(): string[] {
    return this.#lines.splice(0)
  }

  override before(operation: Operation): void {
    this.#lines.push(`${this.#what(operation)}: ${this.accesses(operation.accesses)}`)
  }

  override accepted(operation: Operation, tick: number): void {
    this.#lines.push(`accepted ${operation.label}${tick === operation.stream.tick ? "" : " with another tick"}`)
  }

  override refused(operation: Operation, error: unknown): void {
    this.#lines.push(`refused ${operation.label}: ${String(error)}`)
  }

  override recorded(stream: StreamState, point: RecordPoint): void {
    this.#lines.push(`record on ${stream.name}${point.isAfter(stream.slot, stream.tick) ? "" : " of less"}`)
  }

  override waited(stream: StreamState, _point: RecordPoint, isSent: boolean): void {
    this.#lines.push(`${stream.name} waits${isSent ? "" : ", not sent"}`)
  }

  override synchronized(): void {
    this.#lines.push("synchronized")
  }

  override allocated(_stream: StreamState, _memory: object, _address: number, byteLength: number): void {
    this.#lines.push(`allocated ${byteLength} bytes`)
  }

  override freed(_stream: StreamState, memory: object): void {
    this.#lines.push(`freed ${this.#names.get(memory)?.name ?? "memory"}`)
  }

  #what({ kind, label, stream, plan }: Operation): string {
    const nodes = plan === undefined ? "" : ` {${nodesOf(plan)}}`
    return `${kind === label ? kind : `${kind} ${label}`} on ${stream.name}${nodes}`
  }

  /** Such as `read x[0..16]`, or `2: write y[4..8]` for a kernel's argument. */
  accesses(accesses: readonly Access[]): string {
    return accesses.map((access) => this.#access(access)).join(", ")
  }

  #access({ memory, address, width, pitch, rows, role: { mode, argument, name } }: Access): string {
    const known = this.#names.get(memory)
    const begin = address - (known?.address ?? address)
    const gaps = rows === 1 ? "" : `, ${rows} rows, ${pitch} apart`
    const what = `${mode} ${known?.name ?? "other memory"}[${begin}..${begin + width}${gaps}]`
    return `${argument === undefined ? "" : `${argument}: `}${name === undefined ? "" : `${name}: `}${what}`
  }
}

function nodesOf({ nodes, parts }: OperationPlan): string {
  return nodes
    .map(({ label }, place) => {
      const part = parts.get(place)
      return part === undefined ? label : `${label} {${nodesOf(part)}}`
    })
    .join(" ")
}
