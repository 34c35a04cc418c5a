/** The kernels of kernels.cu for the host device. Each call is a whole launch. */

export function square(launch, n, x, out) {
  for (let i = 0; i < n; i++) out[i] = x[i] * x[i]
}

export function addDifferences(launch, n, x, y, sum) {
  let total = sum[0]
  for (let i = 0; i < n; i++) total += x[i] - y[i]
  sum[0] = total
}

export function blackScholes(launch, n, rate, volatility, years, strike, prices, values) {
  const spread = volatility * Math.sqrt(years)
  const discounted = strike * Math.exp(-rate * years)
  for (let i = 0; i < n; i++) {
    const d1 = (Math.log(prices[i] / strike) + (rate + 0.5 * volatility * volatility) * years) / spread
    values[i] = prices[i] * normal(d1) - discounted * normal(d1 - spread)
  }
}

/** The normal distribution, to seven digits: formula 26.2.17 of Abramowitz and Stegun. */
function normal(x) {
  const t = 1 / (1 + 0.2316419 * Math.abs(x))
  const series = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
  const tail = 0.3989422804014327 * Math.exp(-0.5 * x * x) * series
  return x > 0 ? 1 - tail : tail
}

export function blur(launch, side, radius, weights, image, out) {
  const diameter = 2 * radius + 1
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      let sum = 0
      for (let y = -radius; y <= radius; y++) {
        const r = row + y
        if (r < 0 || r >= side) continue
        for (let x = -radius; x <= radius; x++) {
          const c = column + x
          if (c < 0 || c >= side) continue
          sum += weights[(y + radius) * diameter + x + radius] * image[r * side + c]
        }
      }
      out[row * side + column] = sum
    }
  }
}

export function edges(launch, side, image, out) {
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      let across = 0
      let down = 0
      for (let y = -1; y <= 1; y++) {
        const r = row + y
        if (r < 0 || r >= side) continue
        for (let x = -1; x <= 1; x++) {
          const c = column + x
          if (c < 0 || c >= side) continue
          const value = image[r * side + c]
          across += x * (2 - y * y) * value
          down += y * (2 - x * x) * value
        }
      }
      out[row * side + column] = Math.sqrt(across * across + down * down)
    }
  }
}

export function minimum(launch, n, x, out) {
  let least = out[0]
  for (let i = 0; i < n; i++) if (x[i] < least) least = x[i]
  out[0] = least
}

export function maximum(launch, n, x, out) {
  let most = out[0]
  for (let i = 0; i < n; i++) if (x[i] > most) most = x[i]
  out[0] = most
}

export function extend(launch, n, least, most, x) {
  const [from, to] = [least[0], most[0]]
  for (let i = 0; i < n; i++) x[i] = Math.min((5 * (x[i] - from)) / (to - from), 1)
}

export function sharpen(launch, n, amount, x, blurred, out) {
  for (let i = 0; i < n; i++) out[i] = Math.min(Math.max(x[i] * (1 + amount) - blurred[i] * amount, 0), 1)
}

export function blend(launch, n, x, y, mask, out) {
  for (let i = 0; i < n; i++) out[i] = x[i] * mask[i] + y[i] * (1 - mask[i])
}

export function standardize(launch, rows, features, x, out) {
  for (let j = 0; j < features; j++) {
    let sum = 0
    let squares = 0
    for (let i = j; i < rows * features; i += features) {
      sum += x[i]
      squares += x[i] * x[i]
    }
    const mean = sum / rows
    const deviation = Math.sqrt(squares / rows - mean * mean)
    for (let i = j; i < rows * features; i += features) out[i] = (x[i] - mean) / deviation
  }
}

export function scores(launch, rows, features, classes, x, weights, bias, out) {
  for (let i = 0; i < rows; i++) {
    for (let c = 0; c < classes; c++) {
      let sum = bias[c]
      for (let j = 0; j < features; j++) sum += x[i * features + j] * weights[c * features + j]
      out[i * classes + c] = sum
    }
  }
}

export function rowMaximum(launch, rows, classes, x, out) {
  for (let i = 0; i < rows; i++) {
    let most = x[i * classes]
    for (let c = 1; c < classes; c++) most = Math.max(most, x[i * classes + c])
    out[i] = most
  }
}

export function logSumExp(launch, rows, classes, x, most, out) {
  for (let i = 0; i < rows; i++) {
    let sum = 0
    for (let c = 0; c < classes; c++) sum += Math.exp(x[i * classes + c] - most[i])
    out[i] = Math.log(sum) + most[i]
  }
}

export function exponential(launch, rows, classes, logs, x) {
  for (let i = 0; i < rows; i++) {
    for (let c = 0; c < classes; c++) x[i * classes + c] = Math.exp(x[i * classes + c] - logs[i])
  }
}

export function softmax(launch, rows, classes, x) {
  for (let i = 0; i < rows; i++) {
    const row = i * classes
    let most = x[row]
    for (let c = 1; c < classes; c++) most = Math.max(most, x[row + c])
    let sum = 0
    for (let c = 0; c < classes; c++) sum += Math.exp(x[row + c] - most)
    for (let c = 0; c < classes; c++) x[row + c] = Math.exp(x[row + c] - most) / sum
  }
}

export function vote(launch, rows, classes, x, y, out) {
  for (let i = 0; i < rows; i++) {
    const row = i * classes
    let best = 0
    for (let c = 1; c < classes; c++) if (x[row + c] + y[row + c] > x[row + best] + y[row + best]) best = c
    out[i] = best
  }
}

export function gather(launch, rows, starts, columns, x, out) {
  for (let i = 0; i < rows; i++) {
    let sum = 0
    for (let at = starts[i]; at < starts[i + 1]; at++) sum += x[columns[at]]
    out[i] = sum
  }
}

export function addUp(launch, n, x, sum) {
  let total = sum[0]
  for (let i = 0; i < n; i++) total += x[i]
  sum[0] = total
}

export function divide(launch, n, x, by, out) {
  const divisor = by[0]
  for (let i = 0; i < n; i++) out[i] = x[i] / divisor
}

export function convolve(launch, side, inputs, outputs, x, weights, out) {
  for (let filter = 0; filter < outputs; filter++) {
    for (let row = 0; row < side; row++) {
      for (let column = 0; column < side; column++) {
        let sum = 0
        for (let plane = 0; plane < inputs; plane++) {
          for (let y = -1; y <= 1; y++) {
            const r = row + y
            if (r < 0 || r >= side) continue
            for (let z = -1; z <= 1; z++) {
              const c = column + z
              if (c < 0 || c >= side) continue
              sum += weights[(filter * inputs + plane) * 9 + (y + 1) * 3 + z + 1] * x[(plane * side + r) * side + c]
            }
          }
        }
        out[(filter * side + row) * side + column] = Math.max(sum, 0)
      }
    }
  }
}

export function pool(launch, side, planes, x, out) {
  const half = side / 2
  for (let plane = 0; plane < planes; plane++) {
    for (let row = 0; row < half; row++) {
      for (let column = 0; column < half; column++) {
        const at = (plane * side + 2 * row) * side + 2 * column
        out[(plane * half + row) * half + column] = Math.max(x[at], x[at + 1], x[at + side], x[at + side + 1])
      }
    }
  }
}

export function dense(launch, n, x, y, weights, sum) {
  let total = sum[0]
  for (let i = 0; i < n; i++) total += x[i] * weights[i] + y[i] * weights[n + i]
  sum[0] = total
}
