/**
 * The pipeline's kernels. A picture is one float32 array of planes, one plane per color, with values from 0 to 1.
 * host-kernels.js has the code for the host device.
 */

import { defineKernel } from "auxstream"

const host = { module: new URL("host-kernels.js", import.meta.url) }

/** Bytes with the channels side by side, to planes. Parameters: pixels, channels, planes, bytes, values. */
export const unpack = defineKernel({
  name: "unpack",
  signature: ["int32", "int32", "int32", "in uint8*", "out float32*"],
  cuda: {
    source: `extern "C" __global__ void unpack(
        int pixels, int channels, int planes, const unsigned char* bytes, float* values) {
      int i = blockIdx.x * blockDim.x + threadIdx.x;
      if (i >= pixels) return;
      for (int plane = 0; plane < planes; plane++) values[plane * pixels + i] = bytes[i * channels + plane] / 255.0f;
    }`,
  },
  host,
})

/** The way back. Channels beyond the planes (alpha) stay as they are. */
export const pack = defineKernel({
  name: "pack",
  signature: ["int32", "int32", "int32", "in float32*", "inout uint8*"],
  cuda: {
    source: `extern "C" __global__ void pack(
        int pixels, int channels, int planes, const float* values, unsigned char* bytes) {
      int i = blockIdx.x * blockDim.x + threadIdx.x;
      if (i >= pixels) return;
      for (int plane = 0; plane < planes; plane++) {
        float value = fminf(fmaxf(values[plane * pixels + i], 0.0f), 1.0f);
        bytes[i * channels + plane] = (unsigned char)(value * 255.0f + 0.5f);
      }
    }`,
  },
  host,
})

/**
 * A weighted mean over neighbours in a row (axis 0) or in a column (axis 1); beyond the picture, the edge is repeated.
 * Parameters: width, height, axis, radius, weights (2 · radius + 1), source, target. A plane for each z of the grid.
 */
export const blur = defineKernel({
  name: "blur",
  signature: ["int32", "int32", "int32", "int32", "in float32*", "in float32*", "out float32*"],
  cuda: {
    source: `extern "C" __global__ void blur(int width, int height, int axis, int radius,
        const float* weights, const float* source, float* target) {
      int x = blockIdx.x * blockDim.x + threadIdx.x;
      int y = blockIdx.y * blockDim.y + threadIdx.y;
      if (x >= width || y >= height) return;
      const float* plane = source + (size_t)blockIdx.z * width * height;
      int position = axis == 0 ? x : y;
      int last = (axis == 0 ? width : height) - 1;
      int step = axis == 0 ? 1 : width;
      const float* line = plane + (axis == 0 ? y * width : x);
      float sum = 0;
      for (int k = -radius; k <= radius; k++) {
        sum += weights[k + radius] * line[min(max(position + k, 0), last) * step];
      }
      target[(size_t)blockIdx.z * width * height + y * width + x] = sum;
    }`,
  },
  host,
})

/** How steep the values are: the length of Sobel's gradient. Parameters: width, height, source, target. */
export const sobel = defineKernel({
  name: "sobel",
  signature: ["int32", "int32", "in float32*", "out float32*"],
  cuda: {
    source: `extern "C" __global__ void sobel(int width, int height, const float* source, float* target) {
      int x = blockIdx.x * blockDim.x + threadIdx.x;
      int y = blockIdx.y * blockDim.y + threadIdx.y;
      if (x >= width || y >= height) return;
      size_t plane = (size_t)blockIdx.z * width * height;
      const float* above = source + plane + (size_t)max(y - 1, 0) * width;
      const float* here = source + plane + (size_t)y * width;
      const float* below = source + plane + (size_t)min(y + 1, height - 1) * width;
      int left = max(x - 1, 0), right = min(x + 1, width - 1);
      float across = above[right] - above[left] + 2 * (here[right] - here[left]) + below[right] - below[left];
      float down = below[left] - above[left] + 2 * (below[x] - above[x]) + below[right] - above[right];
      target[plane + (size_t)y * width + x] = sqrtf(across * across + down * down);
    }`,
  },
  host,
})

/** The least and the greatest of all values, for one block of 1024 threads. Parameters: count, values, range (2). */
export const findRange = defineKernel({
  name: "findRange",
  signature: ["int32", "in float32*", "out float32*"],
  cuda: {
    source: `extern "C" __global__ void findRange(int count, const float* values, float* range) {
      __shared__ float least[1024], greatest[1024];
      int me = threadIdx.x;
      least[me] = greatest[me] = values[me < count ? me : 0];
      for (int i = me; i < count; i += 1024) {
        least[me] = fminf(least[me], values[i]);
        greatest[me] = fmaxf(greatest[me], values[i]);
      }
      for (int half = 512; half > 0; half /= 2) {
        __syncthreads();
        if (me >= half) continue;
        least[me] = fminf(least[me], least[me + half]);
        greatest[me] = fmaxf(greatest[me], greatest[me + half]);
      }
      if (me == 0) { range[0] = least[0]; range[1] = greatest[0]; }
    }`,
  },
  host,
})

/** Stretches values to 0 … `gain`, cut off at 1. Parameters: count, gain, range, values. */
export const extend = defineKernel({
  name: "extend",
  signature: ["int32", "float32", "in float32*", "inout float32*"],
  cuda: {
    source: `extern "C" __global__ void extend(int count, float gain, const float* range, float* values) {
      int i = blockIdx.x * blockDim.x + threadIdx.x;
      if (i >= count) return;
      float width = range[1] - range[0];
      values[i] = width == 0 ? 0 : fminf(1.0f, gain * (values[i] - range[0]) / width);
    }`,
  },
  host,
})

/** Takes some of the blur away from the picture. Parameters: count, amount, image, blurred, target. */
export const unsharpen = defineKernel({
  name: "unsharpen",
  signature: ["int32", "float32", "in float32*", "in float32*", "out float32*"],
  cuda: {
    source: `extern "C" __global__ void unsharpen(
        int count, float amount, const float* image, const float* blurred, float* target) {
      int i = blockIdx.x * blockDim.x + threadIdx.x;
      if (i >= count) return;
      float value = image[i] * (1.0f + amount) - blurred[i] * amount;
      target[i] = fminf(fmaxf(value, 0.0f), 1.0f);
    }`,
  },
  host,
})

/** One picture where the mask is 1, the other where it is 0. Parameters: count, image, background, mask, target. */
export const combine = defineKernel({
  name: "combine",
  signature: ["int32", "in float32*", "in float32*", "in float32*", "out float32*"],
  cuda: {
    source: `extern "C" __global__ void combine(
        int count, const float* image, const float* background, const float* mask, float* target) {
      int i = blockIdx.x * blockDim.x + threadIdx.x;
      if (i < count) target[i] = background[i] + mask[i] * (image[i] - background[i]);
    }`,
  },
  host,
})
