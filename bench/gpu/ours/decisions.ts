/** Fresh decisions of a policy about captured workloads: decision:WORKLOAD:SIZE:DECISIONS:SECONDS. */

import type { Device } from "auxstream"
import { contest } from "../../fresh-decisions.js"
import type { Figures, MakeRow } from "./row.js"
import { queueingBoth, type Workload } from "./workload.js"

type MakeWorkload = (device: Device, size: number) => Workload

/** An operation is a whole contest, so a batch of one is enough. */
export function decisionRow(workloads: Readonly<Record<string, MakeWorkload>>): MakeRow {
  return (device, name = "", size = "", decisions = "", seconds = "") => {
    const make = workloads[name]
    if (make === undefined) return `there is no workload called ${name}`
    const queue = queueingBoth(device, make(device, Number(size)))
    queue()
    device.synchronize()
    return (): Figures => {
      const found = contest(device, queue, { decisions: Number(decisions), seconds: Number(seconds) })
      const { host, faster, parallel, ...others } = found
      return {
        nanoseconds: parallel * 1000,
        ...others,
        parallel,
        // JSON has numbers only: 1 if side by side is faster, -1 if in sequence is, 0 if neither.
        faster: faster === undefined ? 0 : faster === "parallel" ? 1 : -1,
        hostWithout: host.without,
        hostMeasured: host.measured,
        hostDecided: host.decided,
      }
    }
  }
}
