import { inspect } from "node:util"
import { Device } from "./device.js"
import { DeviceArray } from "./device-array.js"
import { Event } from "./event.js"
import { Graph } from "./graph.js"
import { Kernel } from "./kernel.js"
import { PinnedArray } from "./pinned-array.js"
import { Stream } from "./stream.js"

/** Has `console.log` show what an object is, instead of all that it is made of. */
function showAs<T>(kind: { readonly prototype: T }, text: (object: T) => string): void {
  Object.defineProperty(kind.prototype, inspect.custom, {
    value(this: T) {
      return text(this)
    },
  })
}

const ended = ({ disposed }: { readonly disposed: boolean }) => (disposed ? ", disposed" : "")

showAs(Device, (device) => `Device { ${device.id}, ${device.name}${ended(device)} }`)
showAs(Stream, (stream) => `Stream { ${stream.name} of ${stream.device.id}${ended(stream)} }`)
showAs(Event, (event) => `Event { ${event.name} of ${event.device.id}${ended(event)} }`)
showAs<Kernel>(Kernel, ({ name, signature }) => `Kernel { ${name}(${signature.join(", ")}) }`)
showAs(DeviceArray, (array) => `DeviceArray { ${array.description}${ended(array)} }`)
showAs(PinnedArray, (array) => `PinnedArray { ${array.description}${ended(array)} }`)
showAs(
  Graph,
  (graph) =>
    `Graph { ${graph.nodeCount} operations on ${graph.branchCount} streams of ${graph.device.id}${ended(graph)} }`,
)
