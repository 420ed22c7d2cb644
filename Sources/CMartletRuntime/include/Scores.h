/// What generated code for a block of attention's scores is told.
#ifndef MARTLET_SCORES_H
#define MARTLET_SCORES_H

#include <stdint.h>

/// Some rows of scores against a block of keys, and what is kept for each row from block to block: the greatest score
/// so far, the sum of the exponentials of all scores less that one, and the products of those with the values.
///
/// Strides are distances between rows in elements.
typedef struct {
  float *scores;
  int64_t stride;
  int64_t rows;
  int64_t columns;
  /// What is added to the scores, as the code was generated: nothing, one element for each, or one for each row.
  const float *mask;
  int64_t mask_stride;
  /// Which scores count, as the code was generated: all, those with a condition, or of row i the columns up to limit + i.
  const uint8_t *condition;
  int64_t condition_stride;
  int64_t limit;
  /// What becomes of the others.
  float excluded;
  float scale;
  /// 1 for the first block of keys, before which nothing is kept.
  int32_t is_first;
  float *maxima;
  float *sums;
  float *results;
  int64_t result_stride;
  int64_t result_columns;
  /// Only for gradients: those of the weights, in rows as far apart as the scores', what they are multiplied with at the
  /// end, those of the results, and the sums of their products with the results.
  float *weight_gradients;
  float factor;
  const float *gradients;
  int64_t gradient_stride;
  float *products;
} martlet_scores;

#endif
