import { maybeExecuteInParallel, openDevice } from "auxstream"
import { type Benchmark, compare, type Contender, difference } from "./harness.js"

const name = "disabled-path"

/** The call without an aux stream: its cost for a program that never uses one. */
export const disabledPath: Benchmark = {
  name,
  title: "maybeExecuteInParallel(fn0, fn1, null, null, null) against calling the two functions",
  async run({ quick }) {
    const operations = quick ? 1000 : 100_000
    const device = openDevice("host")
    let [left, right] = [0, 0]
    const fn0 = () => ++left
    const fn1 = () => ++right
    let sum = 0

    const plain = () => {
      for (let i = 0; i < operations; i++) {
        const results = [fn0(), fn1()] as const
        sum += results[0] - results[1]
      }
    }
    const disabled = () => {
      for (let i = 0; i < operations; i++) {
        const results = maybeExecuteInParallel(fn0, fn1, null, null, null)
        sum += results[0] - results[1]
      }
    }
    const inContext = (turn: () => void) => () => device.defaultStream.run(turn)
    const contenders: Contender[] = [
      { name: "two calls", turn: plain },
      { name: "auxStream null", turn: disabled },
      { name: "two calls, inside stream.run()", turn: inContext(plain) },
      { name: "auxStream null, inside stream.run()", turn: inContext(disabled) },
    ]
    const [turns, warmUpTurns] = quick ? [3, 1] : [101, 20]
    const rows = await compare({ benchmark: name, unit: "ns", operations, turns, warmUpTurns }, contenders)
    device.dispose()
    if (sum !== 0) throw new Error("A function was not called")
    const derived = [
      difference(rows, "auxStream null, beyond the two calls", "auxStream null", "two calls"),
      difference(
        rows,
        "the same inside stream.run()",
        "auxStream null, inside stream.run()",
        "two calls, inside stream.run()",
      ),
    ]
    return { rows, derived }
  },
}
