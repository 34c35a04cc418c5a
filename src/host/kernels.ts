import type { LaunchShape } from "../common/facts/launch-shape.js"
import type { KernelAttributes, SuggestedBlock } from "../common/facts/kernel-facts.js"
import type { KernelHandle, StreamHandle } from "../driver/handles.js"
import type {
  DriverKernels,
  DroppableLaunch,
  KernelArgument,
  LaunchAttributes,
  LaunchLimits,
} from "../driver/kernels.js"
import type { KernelSource, LoadedGlobal, ModuleSource } from "../driver/modules.js"
import type { ControlMemory } from "./control/control.js"
import { hostKernelAttributes } from "./facts.js"
import type { HostKernel } from "./kernel/kernel-check.js"
import type { Commands } from "./queue/commands.js"
import { QueuedLaunch } from "./queue/droppable.js"
import type { Queues } from "./queue/queues.js"
import type { HostStream } from "./queue/stream.js"
import type { KernelTable } from "./threads/kernel-table.js"

/** What {@link HostKernels} is made of. */
export interface KernelParts {
  readonly table: KernelTable
  readonly queues: Queues
  readonly commands: Commands
  readonly control: ControlMemory
  readonly limits: LaunchLimits
  readonly threads: number
}

/** The kernels of the host device. */
export class HostKernels implements DriverKernels {
  readonly #table: KernelTable
  readonly #queues: Queues
  readonly #commands: Commands
  readonly #control: ControlMemory
  readonly #limits: LaunchLimits
  readonly #threads: number

  constructor({ table, queues, commands, control, limits, threads }: KernelParts) {
    this.#table = table
    this.#queues = queues
    this.#commands = commands
    this.#control = control
    this.#limits = limits
    this.#threads = threads
  }

  load(source: KernelSource): KernelHandle {
    this.#queues.check()
    return this.#table.load(source)
  }

  async prepare(source: KernelSource): Promise<KernelHandle> {
    this.#queues.check()
    return this.#table.prepare(source)
  }

  async prepareModule(module: ModuleSource): Promise<void> {
    this.#queues.check()
    await this.#table.prepareModule(module)
  }

  loadGlobals(module: ModuleSource): readonly LoadedGlobal[] {
    this.#queues.check()
    return this.#table.loadGlobals(module)
  }

  freeGlobals(globals: readonly LoadedGlobal[]): void {
    this.#table.freeGlobals(globals)
  }

  unloadModule(module: ModuleSource): void {
    this.#table.unload(module)
  }

  launch(
    stream: StreamHandle,
    kernel: KernelHandle,
    shape: LaunchShape,
    args: readonly KernelArgument[],
    attributes: LaunchAttributes | undefined,
  ): DroppableLaunch | undefined {
    const target = this.#queues.usable(stream)
    const found = this.#table.get(kernel)
    const { branch } = target
    const commands = branch === undefined ? this.#commands : branch.commands
    const queue = branch ?? target.slot
    const structs = attributes?.structs
    if (attributes?.droppable === true && branch === undefined) {
      return this.#launchDroppable(target, found, shape, args, structs)
    }
    commands.launch(queue, found, shape, args, structs)
    if (branch === undefined) this.#queues.submit(target)
    return undefined
  }

  attributes(): KernelAttributes {
    this.#queues.check()
    return hostKernelAttributes(this.#limits)
  }

  /** A worker thread runs one block after another. */
  blocksPerMultiprocessor(): number {
    this.#queues.check()
    return 1
  }

  suggestBlock(_kernel: KernelHandle, _sharedMemory: number, mostThreads: number): SuggestedBlock {
    this.#queues.check()
    return { block: mostThreads, grid: this.#threads }
  }

  #launchDroppable(
    target: HostStream,
    kernel: HostKernel,
    shape: LaunchShape,
    args: readonly KernelArgument[],
    structs: Uint8Array | undefined,
  ): DroppableLaunch {
    const flag = this.#commands.launchDroppable(target.slot, kernel, shape, args, structs)
    const droppable = new QueuedLaunch(this.#control, target, flag)
    this.#queues.submit(target)
    return droppable
  }
}
