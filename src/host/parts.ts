/** Makes the parts of the host device that share its queues, each after those that it needs. */
import type { LaunchLimits } from "../driver/kernels.js"
import type { SessionParts } from "./checks/check-session.js"
import type { Completion } from "./completion/completion.js"
import { HostEvents } from "./completion/events.js"
import { Points } from "./completion/points.js"
import { ControlBlocks } from "./control/control-blocks.js"
import type { ControlMemory } from "./control/control.js"
import type { Loss } from "./control/loss.js"
import type { DeviceMemory } from "./control/memory.js"
import type { TimeRings } from "./control/time-rings.js"
import { Captures } from "./graph/captures.js"
import { GraphLauncher } from "./graph/graph-launch.js"
import { GraphTable } from "./graph/graph.js"
import type { GraphParts } from "./graph/graphs.js"
import { GraphNodes } from "./graph/nodes.js"
import type { KernelParts } from "./kernels.js"
import { HostMemory } from "./memory/host-memory.js"
import { Commands } from "./queue/commands.js"
import { EventTable } from "./queue/event-table.js"
import type { Failures } from "./queue/failures.js"
import { Queues } from "./queue/queues.js"
import type { StreamTable } from "./queue/stream-table.js"
import { Waits } from "./queue/waits.js"
import type { Scheduler } from "./schedule/scheduler.js"
import { HostStreams } from "./streams.js"
import type { KernelTable } from "./threads/kernel-table.js"
import type { WorkerPool } from "./threads/worker-pool.js"
import type { TimelineParts } from "./timeline/host-timeline.js"

/** What the parts stand on: the device's memory, its workers, and how it ends. */
export interface Foundation {
  readonly control: ControlMemory
  readonly memory: DeviceMemory
  /** The most bytes that the device's memory may have. */
  readonly total: number
  readonly rings: TimeRings
  readonly failures: Failures
  readonly limits: LaunchLimits
  readonly threads: number
  readonly streams: StreamTable
  readonly scheduler: Scheduler
  readonly pool: WorkerPool
  readonly loss: Loss
  readonly completion: Completion
  readonly kernels: KernelTable
}

/** Parts of the device, and what others are made of. */
export interface HostParts {
  readonly streams: HostStreams
  readonly events: HostEvents
  readonly memory: HostMemory
  readonly kernels: KernelParts
  readonly graphs: GraphParts
  readonly timeline: TimelineParts
  readonly session: SessionParts
}

/** See the head of this file. */
export function partsOf(foundation: Foundation): HostParts {
  const { control, memory, total, rings, failures, limits, threads } = foundation
  const { streams, scheduler, pool, loss, completion, kernels } = foundation
  const queues = new Queues(streams, failures, loss, scheduler, pool)
  const commands = new Commands(control)
  const waits = new Waits(commands, failures, queues)
  const points = new Points(completion, failures, loss)
  const events = new EventTable(control)
  const captures = new Captures(control)
  const graphs = new GraphTable(control, new ControlBlocks(control))
  const launcher = new GraphLauncher(control, scheduler, graphs, streams, pool)
  const nodes = new GraphNodes(graphs, control, commands)
  const hostMemory = new HostMemory({ memory, total, queues, commands, waits, completion })
  const drain = () => pool.drain()
  return {
    streams: new HostStreams({ table: streams, queues, events, points, waits, captures, failures }),
    events: new HostEvents(events, queues, commands, points, completion),
    memory: hostMemory,
    kernels: { table: kernels, queues, commands, control, limits, threads },
    graphs: { table: graphs, captures, launcher, nodes, queues, streams, waits, kernels, control },
    timeline: { control, rings, queues, commands, launcher, kernels },
    session: { memory: hostMemory, queues, commands, violations: failures.violations, drain },
  }
}
