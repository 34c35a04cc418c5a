import { parallel } from "auxstream"
import { addDifferences, shape, square } from "./kernels.js"
import { numbers, type Program } from "./program.js"

/** The sum of x² − y². */
export const vectorSquares: Program = {
  name: "vector squares",
  unit: "elements",
  open(device, size) {
    const [x, y] = [device.from(numbers(size, 1)), device.from(numbers(size, 2))]
    const [xSquared, ySquared] = [device.empty("float32", size), device.empty("float32", size)]
    const sum = device.zeros("float32", 1)
    const squareX = () => square.launch(shape(size), size, x, xSquared)
    const squareY = () => square.launch(shape(size), size, y, ySquared)
    const add = () => {
      sum.fill(0)
      addDifferences.launch(shape(size), size, xSquared, ySquared, sum)
    }
    return {
      inSequence() {
        squareX()
        squareY()
        add()
      },
      byHand() {
        parallel([squareX, squareY])
        add()
      },
      results: [sum],
    }
  },
}
