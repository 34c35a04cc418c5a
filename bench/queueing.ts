import { AsyncLocalStorage } from "node:async_hooks"
import { maybeExecuteInParallel, openDevice } from "auxstream"
import { type Benchmark, compare, type Contender, difference } from "./harness.js"
import { increment, once, touch } from "./kernels.js"

const name = "queueing"

/** The cost of calls for the calling thread, without waiting for their work. */
export const queueing: Benchmark = {
  name,
  title: "host time of one call; the work itself is waited for outside the measured time",
  async run({ quick }) {
    const operations = quick ? 50 : 1000
    const device = openDevice("host")
    const [a, b] = [device.zeros("int32", 1), device.zeros("int32", 1)]
    const [x, y] = [device.zeros("float32", 16), device.zeros("float32", 16)]
    const [event0, event1] = [device.createEvent(), device.createEvent()]
    const [main, aux] = [device.defaultStream, device.createStream()]
    const [known, shared] = [aux.record(), aux.record()]
    main.wait(known)
    // Once its handle is read, others may record the event, so no wait for it is skipped.
    void shared.handle
    const left = () => increment.launch(once, a)
    const right = () => increment.launch(once, b)
    const storage = new AsyncLocalStorage<number>()
    const nothing = () => {}

    const repeated = (name: string, call: () => void): Contender => ({
      name,
      turn() {
        for (let i = 0; i < operations; i++) call()
      },
      settle: () => device.synchronize(),
    })
    const launches = repeated("two launches", () => {
      left()
      right()
    })
    const whole = repeated("fork-join of two launches", () => {
      maybeExecuteInParallel(left, right, event0, event1, aux)
    })
    const contenders = [
      repeated("launch, one argument", left),
      repeated("launch, four arguments", () => touch.launch(once, 3, 2, x, y)),
      repeated("record", () => void event0.record(main)),
      repeated("wait that adds nothing (elided)", () => main.wait(known)),
      repeated("wait that is sent", () => main.wait(shared)),
      launches,
      whole,
      repeated("stream.run of an empty function", () => aux.run(nothing)),
      repeated("AsyncLocalStorage.run of an empty function", () => storage.run(1, nothing)),
    ]
    const [turns, warmUpTurns] = quick ? [3, 1] : [101, 20]
    const rows = await compare({ benchmark: name, unit: "ns", operations, turns, warmUpTurns }, contenders)
    device.dispose()
    return { rows, derived: [difference(rows, "fork-join, its launches subtracted", whole.name, launches.name)] }
  },
}
