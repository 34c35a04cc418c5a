/** Numbers the devices and the streams of a trace in the order in which they are first needed. */
import type { TracedStream } from "./data/data.js"
import type { StreamIndex } from "./record/log.js"
import type { RecordedDevice, Recorder } from "./record/recorder.js"

/** See the head of this file. */
export class StreamNumbers {
  readonly devices: RecordedDevice[] = []
  readonly streams: TracedStream[] = []
  readonly #recorder: Recorder
  readonly #byStream = new Map<StreamIndex, number>()
  /** The streams that the program did not make: branches of graphs, and those of other libraries. */
  readonly #named = new Map<string, number>()

  constructor(recorder: Recorder) {
    this.#recorder = recorder
  }

  /** The index of a device. */
  device(device: RecordedDevice): number {
    const known = this.devices.indexOf(device)
    return known >= 0 ? known : this.devices.push(device) - 1
  }

  /** The index of a stream of the program. */
  stream(index: StreamIndex): number {
    const known = this.#byStream.get(index)
    if (known !== undefined) return known
    const stream = this.#recorder.streams[index]
    if (stream === undefined) throw new RangeError(`There is no stream ${index}.`)
    const place = this.streams.push({ device: this.device(stream.device), id: index, name: stream.name }) - 1
    this.#byStream.set(index, place)
    return place
  }

  /** The index of the stream that runs a branch of the graphs launched on a stream. */
  branch(stream: StreamIndex, branch: number): number {
    const launching = this.stream(stream)
    if (branch === 0) return launching
    const { device = 0, name = "" } = this.streams[launching] ?? {}
    return this.#add(`${launching} branch ${branch}`, { device, name: `${name}, branch ${branch} of graphs` })
  }

  /** The index of another library's stream. */
  foreign(device: RecordedDevice, name: string): number {
    const place = this.device(device)
    return this.#add(`${place} foreign ${name}`, { device: place, name })
  }

  #add(key: string, stream: TracedStream): number {
    const known = this.#named.get(key)
    if (known !== undefined) return known
    const place = this.streams.push(stream) - 1
    this.#named.set(key, place)
    return place
  }
}
