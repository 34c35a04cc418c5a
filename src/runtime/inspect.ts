import { inspect } from "node:util"
import { Device } from "./device.js"
import { DeviceArray } from "./device-array.js"
import { Event } from "./event.js"
import { Graph } from "./graph.js"
import { Kernel } from "./kernel.js"
import { PinnedArray } from "./pinned-array.js"
import { Stream } from "./stream.js"

/** Has `console.log` show what an object is, instead of all that it is made of. */
function showAs<T extends object>(prototype: T, text: (object: T) => string): void {
  Object.defineProperty(prototype, inspect.custom, {
    value(this: T) {
      return text(this)
    },
  })
}

const ended = ({ disposed }: { readonly disposed: boolean }) => (disposed ? ", disposed" : "")

showAs(Device.prototype, (device) => `Device { ${device.id}, ${device.name}${ended(device)} }`)
showAs(Stream.prototype, (stream) => `Stream { ${stream.name} of ${stream.device.id}${ended(stream)} }`)
showAs(Event.prototype, (event) => `Event { ${event.name} of ${event.device.id}${ended(event)} }`)
showAs<Kernel>(Kernel.prototype, ({ name, signature }) => `Kernel { ${name}(${signature.join(", ")}) }`)
showAs(DeviceArray.prototype, (array) => `DeviceArray { ${array.description}${ended(array)} }`)
showAs(PinnedArray.prototype, (array) => `PinnedArray { ${array.description}${ended(array)} }`)
showAs(
  Graph.prototype,
  (graph) =>
    `Graph { ${graph.nodeCount} operations on ${graph.branchCount} streams of ${graph.device.id}${ended(graph)} }`,
)
