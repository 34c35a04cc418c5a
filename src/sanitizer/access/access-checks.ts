import type { AccessViolationError } from "../../common/errors.js"
import { nextTick } from "../../common/timers.js"
import { warnOnce } from "../../common/warn.js"
import type { ByteRange, CheckedOperation, Checks } from "../../driver/checks.js"
import type { DeviceOrder } from "../../runtime/order/device-order.js"
import { OperationObserver } from "../../runtime/order/observer/observer.js"
import type { Access, Operation } from "../../runtime/order/observer/operation.js"
import { endOf } from "../../common/strided.js"
import { operationsIn } from "./operations.js"
import { PinnedChecks } from "./pinned-checks.js"

/** The checks, and what happens at a violation. */
export interface AccessCheckOptions {
  readonly accesses: boolean
  readonly unwritten: boolean
  readonly pinned: boolean
  /** Undefined: the stream breaks. */
  readonly report: ((violation: AccessViolationError) => void) | undefined
}

/** The checks of one device. */
interface DeviceChecks {
  readonly checks: Checks
  readonly pinned: PinnedChecks | undefined
}

/** Has the devices check what queued operations do to memory, and describes the operations to them. */
export class AccessChecks extends OperationObserver {
  readonly #devices = new Map<DeviceOrder, DeviceChecks>()
  readonly #options: AccessCheckOptions
  readonly #stack: () => string

  /** @param stack where the program calls the library now */
  constructor(options: AccessCheckOptions, stack: () => string) {
    super()
    this.#options = options
    this.#stack = stack
  }

  override opened(order: DeviceOrder): void {
    const { driver } = order
    const checks = driver.startChecks?.(this.#options)
    if (checks === undefined) return warnOfUnchecked(driver.name)
    this.#devices.set(order, { checks, pinned: this.#options.pinned ? new PinnedChecks(order, checks) : undefined })
  }

  override closing(order: DeviceOrder): void {
    this.#devices.get(order)?.checks.collect()
    this.#devices.delete(order)
  }

  override before(operation: Operation): void {
    const { kind, stream } = operation
    const device = this.#devices.get(stream.order)
    if (device === undefined || stream.capture !== undefined) return
    const isLaunch = kind === "launch" || kind === "graph" || kind === "matmul"
    if (!isLaunch && device.pinned === undefined) return
    const named = this.#name(operation)
    if (isLaunch) device.checks.describe(named, readsBeside(operation), writesBeside(operation))
    device.pinned?.before(operation, named)
  }

  override accepted(operation: Operation): void {
    this.#after(operation, true)
  }

  override refused(operation: Operation): void {
    this.#after(operation, false)
  }

  #after(operation: Operation, isAccepted: boolean): void {
    const { order, capture } = operation.stream
    if (capture === undefined) this.#devices.get(order)?.pinned?.after(operation, isAccepted)
  }

  #name({ label, stream: { name } }: Operation): CheckedOperation {
    return { label, stream: name, stack: this.#stack() }
  }

  override synchronized(order: DeviceOrder): void {
    const device = this.#devices.get(order)
    // Not at once: the program's function must not be called inside a call of the program's.
    if (device !== undefined && this.#options.report !== undefined) nextTick(() => device.checks.collect())
  }

  stop(): void {
    for (const { checks } of this.#devices.values()) checks.stop()
    this.#devices.clear()
  }
}

/** What a launch reads besides its arguments. Of a graph, only its kernels' writes are told apart from their arguments. */
function readsBeside(operation: Operation): ByteRange[] {
  return operation.plan === undefined ? rangesOf(operation.accesses, (access) => access.mode === "read") : []
}

function writesBeside(operation: Operation): ByteRange[] {
  return [...operationsIn(operation)].flatMap(({ kind, accesses }) =>
    kind === "launch" ? rangesOf(accesses, (access) => access.mode !== "read") : [],
  )
}

function rangesOf(accesses: readonly Access[], isMeant: (access: Access) => boolean): ByteRange[] {
  return accesses
    .filter((access) => access.role.argument === undefined && isMeant(access))
    .map((access) => ({ address: access.address, byteLength: endOf(access) - access.address }))
}

function warnOfUnchecked(device: string): void {
  warnOnce(
    `unchecked ${device}`,
    `The sanitizer cannot check \`accessModes\`, \`unwritten\` and \`pinned\` on ${device}, only on the host device. It ` +
      "reports races there. For the memory accesses of CUDA kernels, run compute-sanitizer: see docs/access-checks.md.",
    "AUX_UNCHECKED",
  )
}
