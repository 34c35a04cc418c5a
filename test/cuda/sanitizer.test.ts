import { describe, test } from "node:test"
import { openDevice } from "../../src/index.js"
import { raceOf, sanitized, unsanitized } from "../support/races.js"
import { double, skip } from "./double.js"
import { ForeignCapture } from "./foreign-capture.js"

describe("§13 the sanitizer and a stream that another library captures", { skip }, () => {
  test("work captured there runs in that library's order, so it is in no report", unsanitized, () => {
    using device = openDevice("cuda:0")
    const x = device.zeros("int32", 8)
    const [stream, other] = [device.createStream(), device.createStream()]
    device.synchronize()
    void stream.handle // So the other library has it.
    using _ = sanitized()
    other.run(() => x.fill(1))
    const capture = new ForeignCapture(stream.state.handle)
    stream.run(() => x.fill(2))
    capture.end()
    raceOf(() => stream.run(() => x.fill(3)))
    stream.wait(other)
    stream.run(() => x.fill(4))
    device.synchronize()
  })
})

describe("§13 the sanitizer and two devices", { skip }, () => {
  test("a synchronisation of one device orders nothing on another one", unsanitized, () => {
    double.setDevices(2)
    using first = openDevice("cuda:0")
    using second = openDevice("cuda:1")
    const [a, b] = [first.createStream(), first.createStream()]
    const [x, y] = [first.zeros("int32", 8), second.zeros("int32", 8)]
    using _ = sanitized()
    a.run(() => x.fill(1))
    y.fill(1)
    second.synchronize()
    second.defaultStream.record().synchronize()
    raceOf(() => b.run(() => x.fill(2)))
    first.synchronize()
    b.run(() => x.fill(2))
    raceOf(() => a.run(() => x.fill(3)))
  })
})
