/**
 * The kernels of kernels.ts for the host device. Each call is a whole launch, on a worker thread; the arrays are typed
 * arrays over the device's memory itself.
 */

export function unpack(launch, pixels, channels, planes, bytes, values) {
  for (let plane = 0; plane < planes; plane++) {
    for (let i = 0; i < pixels; i++) values[plane * pixels + i] = bytes[i * channels + plane] / 255
  }
}

export function pack(launch, pixels, channels, planes, values, bytes) {
  for (let plane = 0; plane < planes; plane++) {
    for (let i = 0; i < pixels; i++) {
      const value = Math.min(Math.max(values[plane * pixels + i], 0), 1)
      bytes[i * channels + plane] = value * 255 + 0.5
    }
  }
}

export function blur(launch, width, height, axis, radius, weights, source, target) {
  const alongRows = axis === 0
  const last = (alongRows ? width : height) - 1
  const step = alongRows ? 1 : width
  for (let plane = 0; plane < launch.grid[2]; plane++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const at = (plane * height + y) * width + x
        const position = alongRows ? x : y
        const line = at - position * step
        let sum = 0
        for (let k = -radius; k <= radius; k++) {
          sum += weights[k + radius] * source[line + Math.min(Math.max(position + k, 0), last) * step]
        }
        target[at] = sum
      }
    }
  }
}

export function sobel(launch, width, height, source, target) {
  for (let plane = 0; plane < launch.grid[2]; plane++) {
    for (let y = 0; y < height; y++) {
      const here = (plane * height + y) * width
      const above = y === 0 ? here : here - width
      const below = y === height - 1 ? here : here + width
      for (let x = 0; x < width; x++) {
        const left = Math.max(x - 1, 0)
        const right = Math.min(x + 1, width - 1)
        const across =
          source[above + right] -
          source[above + left] +
          2 * (source[here + right] - source[here + left]) +
          source[below + right] -
          source[below + left]
        const down =
          source[below + left] -
          source[above + left] +
          2 * (source[below + x] - source[above + x]) +
          source[below + right] -
          source[above + right]
        target[here + x] = Math.sqrt(across * across + down * down)
      }
    }
  }
}

export function findRange(launch, count, values, range) {
  let least = values[0]
  let greatest = values[0]
  for (let i = 1; i < count; i++) {
    const value = values[i]
    if (value < least) least = value
    if (value > greatest) greatest = value
  }
  range[0] = least
  range[1] = greatest
}

export function extend(launch, count, gain, range, values) {
  const least = range[0]
  const width = range[1] - least
  for (let i = 0; i < count; i++) values[i] = width === 0 ? 0 : Math.min(1, (gain * (values[i] - least)) / width)
}

export function unsharpen(launch, count, amount, image, blurred, target) {
  for (let i = 0; i < count; i++) {
    target[i] = Math.min(Math.max(image[i] * (1 + amount) - blurred[i] * amount, 0), 1)
  }
}

export function combine(launch, count, image, background, mask, target) {
  for (let i = 0; i < count; i++) target[i] = background[i] + mask[i] * (image[i] - background[i])
}
