import { parallel } from "auxstream"
import { convolve, dense, pool, shape } from "./kernels.js"
import { numbers, type Program } from "./program.js"

const [FIRST, SECOND] = [8, 16]

/** Two branches of convolutions and pooling, each for a picture of its own, and a dense layer over both. */
export const deepLearning: Program = {
  name: "deep learning",
  unit: "pixels a side",
  open(device, side) {
    const [half, quarter] = [side / 2, side / 4]
    const weights = (length: number, seed: number) => device.from(numbers(length, seed).map((value) => value - 0.45))
    const branch = (seed: number) => {
      const image = device.from(numbers(side * side, seed))
      const [firstWeights, secondWeights] = [weights(9 * FIRST, seed + 1), weights(9 * FIRST * SECOND, seed + 2)]
      const [first, firstPooled] = [side, half].map((each) => device.empty("float32", each * each * FIRST))
      const [second, secondPooled] = [half, quarter].map((each) => device.empty("float32", each * each * SECOND))
      if (!first || !firstPooled || !second || !secondPooled) throw new Error("A branch has four results")
      const run = () => {
        convolve.launch(shape(first.length), side, 1, FIRST, image, firstWeights, first)
        pool.launch(shape(firstPooled.length), side, FIRST, first, firstPooled)
        convolve.launch(shape(second.length), half, FIRST, SECOND, firstPooled, secondWeights, second)
        pool.launch(shape(secondPooled.length), half, SECOND, second, secondPooled)
      }
      return { run, result: secondPooled }
    }
    const [left, right] = [branch(10), branch(20)]
    const denseWeights = weights(2 * left.result.length, 30)
    const answer = device.zeros("float32", 1)
    const decide = () => {
      answer.fill(0)
      const { length } = left.result
      dense.launch(shape(length), length, left.result, right.result, denseWeights, answer)
    }
    return {
      inSequence() {
        left.run()
        right.run()
        decide()
      },
      byHand() {
        parallel([left.run, right.run])
        decide()
      },
      results: [answer],
    }
  },
}
