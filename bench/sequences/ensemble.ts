import { parallel } from "auxstream"
import { exponential, logSumExp, rowMaximum, scores, shape, softmax, standardize, vote } from "./kernels.js"
import { numbers, type Program } from "./program.js"

const FEATURES = 200
const CLASSES = 10

/** Naive Bayes and ridge regression classify the same rows, and vote. */
export const ensemble: Program = {
  name: "ensemble",
  unit: "rows of 200 features",
  open(device, rows) {
    const grid = shape(rows)
    const weightsOf = (seed: number) => device.from(numbers(CLASSES * FEATURES, seed).map((value) => value - 0.5))
    const [bayesWeights, ridgeWeights] = [weightsOf(5), weightsOf(6)]
    const [bayesBias, ridgeBias] = [device.from(numbers(CLASSES, 7)), device.from(numbers(CLASSES, 8))]
    const x = device.from(numbers(rows * FEATURES, 4).map((value) => Math.floor(10 * value)))
    const standard = device.empty("float32", rows * FEATURES)
    const [bayes, ridge] = [device.empty("float32", rows * CLASSES), device.empty("float32", rows * CLASSES)]
    const [most, logs] = [device.empty("float32", rows), device.empty("float32", rows)]
    const classes = device.empty("int32", rows)

    const ridgeModel = () => {
      standardize.launch(shape(FEATURES), rows, FEATURES, x, standard)
      scores.launch(grid, rows, FEATURES, CLASSES, standard, ridgeWeights, ridgeBias, ridge)
      softmax.launch(grid, rows, CLASSES, ridge)
    }
    const bayesModel = () => {
      scores.launch(grid, rows, FEATURES, CLASSES, x, bayesWeights, bayesBias, bayes)
      rowMaximum.launch(grid, rows, CLASSES, bayes, most)
      logSumExp.launch(grid, rows, CLASSES, bayes, most, logs)
      exponential.launch(grid, rows, CLASSES, logs, bayes)
      softmax.launch(grid, rows, CLASSES, bayes)
    }
    const decide = () => vote.launch(grid, rows, CLASSES, bayes, ridge, classes)
    return {
      inSequence() {
        ridgeModel()
        bayesModel()
        decide()
      },
      byHand() {
        parallel([ridgeModel, bayesModel])
        decide()
      },
      results: [classes],
    }
  },
}
