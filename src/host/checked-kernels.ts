import type { LaunchShape } from "../common/facts/launch-shape.js"
import type { KernelHandle, StreamHandle } from "../driver/handles.js"
import type { DroppableLaunch, KernelArgument, LaunchAttributes } from "../driver/kernels.js"
import { warnOnce } from "../common/warn.js"
import type { HostKernel } from "./kernel/kernel-check.js"
import { MAX_COMMAND_WORDS } from "./control/layout.js"
import { QueuedLaunch } from "./queue/droppable.js"
import type { HostStream } from "./queue/stream.js"
import { HostKernels, type KernelParts } from "./kernels.js"
import type { CheckSession } from "./checks/check-session.js"

/**
 * The kernels of the host device while launches are checked. Launches inside captures are queued as ever: the launch of
 * their graph decides whether they are checked.
 */
export class CheckedKernels extends HostKernels {
  readonly #parts: KernelParts
  readonly #session: CheckSession

  constructor(parts: KernelParts, session: CheckSession) {
    super(parts)
    this.#parts = parts
    this.#session = session
  }

  override launch(
    stream: StreamHandle,
    kernel: KernelHandle,
    shape: LaunchShape,
    args: readonly KernelArgument[],
    attributes: LaunchAttributes | undefined,
  ): DroppableLaunch | undefined {
    const description = this.#session.take()
    const { queues, table } = this.#parts
    const target = queues.usable(stream)
    const checked = target.branch === undefined ? table.checked(kernel) : undefined
    const more = checked && this.#session.wordsFor(checked, args, description)
    if (checked === undefined || more === undefined || !fits(checked.name, checked.words + more.length)) {
      return super.launch(stream, kernel, shape, args, attributes)
    }
    return this.#queue(target, more, checked, shape, args, attributes)
  }

  #queue(
    target: HostStream,
    more: Int32Array,
    kernel: HostKernel,
    shape: LaunchShape,
    args: readonly KernelArgument[],
    attributes: LaunchAttributes | undefined,
  ): DroppableLaunch | undefined {
    const { commands, control, queues } = this.#parts
    let queued: DroppableLaunch | undefined
    if (attributes?.droppable === true) {
      const flag = commands.launchCheckedDroppable(target.slot, more, kernel, shape, args, attributes.structs)
      queued = new QueuedLaunch(control, target, flag)
    } else {
      commands.launchChecked(target.slot, more, kernel, shape, args, attributes?.structs)
    }
    queues.submit(target)
    return queued
  }
}

/** Whether a queue's chunk has room for the launch and its check. */
function fits(kernel: string, words: number): boolean {
  if (words <= MAX_COMMAND_WORDS) return true
  warnOnce(
    `unchecked ${kernel}`,
    `A launch of kernel "${kernel}" was not checked: its arguments and the arrays in \`uses\` need ${4 * words} bytes of its ` +
      `queue, and at most ${4 * MAX_COMMAND_WORDS} are possible.`,
    "AUX_UNCHECKED",
  )
  return false
}
