/** All benchmarks of the host device, in the order in which they run. */

import { capturedDecisions } from "./captured-decisions.js"
import { cold } from "./cold.js"
import { disabledPath } from "./disabled-path.js"
import { forkJoin } from "./fork-join.js"
import { graph } from "./graph.js"
import type { Benchmark } from "./harness.js"
import { memory } from "./memory.js"
import { openDispose } from "./open-dispose.js"
import { overlap } from "./overlap.js"
import { pieces } from "./pieces.js"
import { placement } from "./placement.js"
import { policyCost } from "./policy-cost.js"
import { policyDecisions } from "./policy-decisions.js"
import { queued } from "./queued.js"
import { queueing } from "./queueing.js"
import { sanitizer } from "./sanitizer.js"
import { scaling } from "./scaling.js"
import { sequences } from "./sequences.js"
import { server } from "./server.js"
import { trace } from "./trace.js"
import { traceOff } from "./trace-off.js"

export const benchmarks: readonly Benchmark[] = [
  forkJoin,
  cold,
  queued,
  graph,
  overlap,
  pieces,
  placement,
  capturedDecisions,
  policyDecisions,
  policyCost,
  disabledPath,
  queueing,
  scaling,
  sequences,
  server,
  trace,
  traceOff,
  openDispose,
  sanitizer,
  memory,
]
