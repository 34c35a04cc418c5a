import { parallel } from "auxstream"
import { blackScholes, shape } from "./kernels.js"
import { numbers, type Program } from "./program.js"

const STOCKS = 10

/** Prices call options of ten stocks, in double precision. */
export const blackScholesOptions: Program = {
  name: "Black-Scholes",
  unit: "options of each of 10 stocks",
  open(device, size) {
    const stocks = Array.from({ length: STOCKS }, (_, stock) => {
      const prices = device.from(Float64Array.from(numbers(size, stock), (value) => 40 + 40 * value))
      const values = device.empty("float64", size)
      const run = () => blackScholes.launch(shape(size), size, 0.035, 0.2, 1, 60, prices, values)
      return { run, values }
    })
    const runs = stocks.map(({ run }) => run)
    return {
      inSequence() {
        for (const run of runs) run()
      },
      byHand() {
        parallel(runs)
      },
      results: stocks.map(({ values }) => values),
    }
  },
}
