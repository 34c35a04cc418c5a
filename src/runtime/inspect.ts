import { inspect } from "node:util"
import { markAsOurs } from "../common/copy.js"
import { Device } from "./device/device.js"
import { DeviceArray } from "./device/array/device-array.js"
import { AuxstreamError } from "../common/errors.js"
import { Event } from "./device/event.js"
import { Graph } from "./graph/graph.js"
import { GraphNode } from "./graph/graph-node.js"
import { Kernel } from "./kernel/kernel.js"
import { PinnedArray } from "./device/array/pinned-array.js"
import { Stream } from "./device/stream.js"

/**
 * Makes `console.log` print one line for an object instead of its internals, and `JSON.stringify` throw. Test runners that
 * print objects call `toJSON` without a key; they get the same line as `console.log`.
 */
export function showAs<T extends object>(
  kind: { readonly prototype: T },
  text: (object: T) => string,
  advice = "Write the properties that you need",
): void {
  markAsOurs(kind)
  Object.defineProperties(kind.prototype, {
    [inspect.custom]: {
      value(this: T) {
        return text(this)
      },
    },
    toJSON: {
      value(this: T, ...key: readonly unknown[]) {
        if (key.length === 0) return text(this)
        throw new AuxstreamError("AUX_INVALID_ARGUMENT", `${text(this)} cannot be written as JSON. ${advice}.`)
      },
    },
  })
}

const ended = ({ disposed }: { readonly disposed: boolean }) => (disposed ? ", disposed" : "")

showAs(Device, (device) => `Device { ${device.id}, ${device.name}${ended(device)} }`)
showAs(Stream, (stream) => `Stream { ${stream.name} of ${stream.device.id}${ended(stream)} }`)
showAs(Event, (event) => `Event { ${event.name} of ${event.device.id}${ended(event)} }`)
showAs<Kernel>(Kernel, ({ name, signatureText }) => `Kernel { ${name}(${signatureText}) }`)
showAs(
  DeviceArray,
  (array) => `DeviceArray { ${array.description}${ended(array)} }`,
  "Its elements are on the device: write Array.from(await array.read())",
)
showAs(
  PinnedArray,
  (array) => `PinnedArray { ${array.description}${ended(array)} }`,
  "Write Array.from(pinned.array) once the device is done with it",
)
showAs(
  Graph,
  (graph) =>
    `Graph { ${graph.nodeCount} operations on ${graph.branchCount} streams of ${graph.device.id}${ended(graph)} }`,
)
showAs<GraphNode>(
  GraphNode,
  ({ kind, label, enabled }) => `GraphNode { ${kind} "${label}"${enabled ? "" : ", disabled"} }`,
)
