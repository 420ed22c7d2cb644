#include "DNNPlan.h"

#include <stdlib.h>
#include <string.h>

enum { inference = 96, training = 64, any_tag = 1, user_scratchpad = 1 };

// Version 2 keeps 696 bytes in a memory descriptor and at most 5,976 in an operation's; there is room for more.
enum { layout_bytes = 696, layout_room = 1024, operation_room = 8192 };

// MARK: Layouts

void martlet_dnn_destroy_layout(const dnn_functions *dnn, dnn_layout layout) {
  if (!layout) return;
  if (dnn->major == 2) {
    free(layout);
  } else {
    dnn->layout_destroy3(layout);
  }
}

dnn_layout martlet_dnn_copy_layout(const dnn_functions *dnn, dnn_layout layout) {
  dnn_layout copy = NULL;
  if (!layout) return NULL;
  if (dnn->major == 2) {
    if ((copy = calloc(1, layout_room))) memcpy(copy, layout, layout_bytes);
  } else if (dnn->layout_clone3(&copy, layout) != 0) {
    copy = NULL;
  }
  return copy;
}

int martlet_dnn_make_layout(const dnn_functions *dnn, const martlet_dnn_tensor *tensor, dnn_layout *layout) {
  enum { out_of_memory = 1, invalid_arguments = 2 };
  *layout = NULL;
  if (tensor->placement == martlet_dnn_absent) return 0;
  if (tensor->placement == martlet_dnn_opaque) {
    *layout = martlet_dnn_copy_layout(dnn, martlet_dnn_layout_value(tensor->layout));
    return *layout ? 0 : out_of_memory;
  }
  if (tensor->rank < 1 || tensor->rank > martlet_dnn_max_rank) return invalid_arguments;
  if (dnn->major == 3) {
    return tensor->placement == martlet_dnn_any
             ? dnn->tagged3(layout, tensor->rank, tensor->dims, tensor->type, any_tag)
             : dnn->strided3(layout, tensor->rank, tensor->dims, tensor->type, tensor->strides);
  }
  if (!(*layout = calloc(1, layout_room))) return out_of_memory;
  return tensor->placement == martlet_dnn_any
           ? dnn->tagged2(*layout, tensor->rank, tensor->dims, tensor->type, any_tag)
           : dnn->strided2(*layout, tensor->rank, tensor->dims, tensor->type, tensor->strides);
}

// MARK: Attributes

/// oneDNN's number of an elementwise function; the two major versions number them differently.
static int elementwise_number(int major, martlet_dnn_epilogue_kind kind) {
  static const int numbers[][2] = {
    [martlet_dnn_relu] = {31, 32},     [martlet_dnn_tanh] = {47, 33},      [martlet_dnn_sigmoid] = {175, 41},
    [martlet_dnn_elu] = {63, 34},      [martlet_dnn_gelu_erf] = {48, 49},  [martlet_dnn_gelu_tanh] = {207, 43},
    [martlet_dnn_clip] = {255, 46},
  };
  return numbers[kind][major - 2];
}

static int add_epilogue(const dnn_functions *dnn, dnn_epilogues list, const martlet_dnn_epilogue *epilogue) {
  if (epilogue->kind == martlet_dnn_add_destination) {
    return dnn->major == 2 ? dnn->add_sum2(list, epilogue->alpha) : dnn->add_sum3(list, epilogue->alpha, 0, 0);
  }
  int number = elementwise_number(dnn->major, epilogue->kind);
  return dnn->major == 2 ? dnn->add_elementwise2(list, 1, number, epilogue->alpha, epilogue->beta)
                         : dnn->add_elementwise3(list, number, epilogue->alpha, epilogue->beta);
}

static int make_attributes(
  const dnn_functions *dnn, const martlet_dnn_description *description, dnn_attributes *attributes) {
  int status = dnn->attributes_create(attributes);
  if (status == 0) status = dnn->set_scratchpad_mode(*attributes, user_scratchpad);
  if (status != 0 || description->epilogue_count == 0) return status;
  dnn_epilogues list = NULL;
  status = dnn->epilogues_create(&list);
  for (int i = 0; status == 0 && i < description->epilogue_count && i < martlet_dnn_max_epilogues; i++) {
    status = add_epilogue(dnn, list, &description->epilogues[i]);
  }
  if (status == 0) status = dnn->set_epilogues(*attributes, list);
  if (list) dnn->epilogues_destroy(list);
  return status;
}

// MARK: Plans

/// A description with everything in oneDNN's own terms.
typedef struct {
  const martlet_dnn_description *of;
  int algorithm;
  dnn_layout source, weights, bias, destination;
  int64_t dilations[martlet_dnn_max_rank];
  dnn_attributes attributes;
  /// What the gradient is of, where oneDNN wants to know.
  dnn_plan forward;
} request;

static int algorithm_number(martlet_dnn_algorithm algorithm) {
  static const int numbers[] = {
    [martlet_dnn_direct] = 1,
    [martlet_dnn_winograd] = 2,
    [martlet_dnn_maximum] = 0x1ff,
    [martlet_dnn_average_including_padding] = 0x2ff,
    [martlet_dnn_average_excluding_padding] = 0x3ff,
  };
  return numbers[algorithm];
}

static int make_plan2(const dnn_functions *dnn, martlet_dnn_kind kind, int mode, const request *r, dnn_plan *plan) {
  enum { out_of_memory = 1 };
  const martlet_dnn_description *d = r->of;
  if (kind == martlet_dnn_reorder) {
    return dnn->reorder(plan, r->source, dnn->engine, r->destination, dnn->engine, r->attributes);
  }
  void *operation = calloc(1, operation_room);
  if (!operation) return out_of_memory;
  int status = 0;
  switch (kind) {
    case martlet_dnn_convolution:
      status = dnn->convolution2(
        operation, mode, r->algorithm, r->source, r->weights, r->bias, r->destination, d->strides, r->dilations,
        d->padding_before, d->padding_after);
      break;
    case martlet_dnn_convolution_source_gradient:
      status = dnn->source_gradient2(
        operation, r->algorithm, r->source, r->weights, r->destination, d->strides, r->dilations, d->padding_before,
        d->padding_after);
      break;
    case martlet_dnn_convolution_weights_gradient:
      status = dnn->weights_gradient2(
        operation, r->algorithm, r->source, r->weights, r->bias, r->destination, d->strides, r->dilations,
        d->padding_before, d->padding_after);
      break;
    case martlet_dnn_pooling:
      status = dnn->pooling2(
        operation, mode, r->algorithm, r->source, r->destination, d->strides, d->window, r->dilations,
        d->padding_before, d->padding_after);
      break;
    case martlet_dnn_pooling_gradient:
      status = dnn->pooling_gradient2(
        operation, r->algorithm, r->source, r->destination, d->strides, d->window, r->dilations, d->padding_before,
        d->padding_after);
      break;
    default:
      status = dnn->product2(operation, r->source, r->weights, r->bias, r->destination);
  }
  if (status == 0) status = dnn->plan_create2(plan, operation, r->attributes, dnn->engine, r->forward);
  free(operation);
  return status;
}

static int make_plan3(const dnn_functions *dnn, martlet_dnn_kind kind, int mode, const request *r, dnn_plan *plan) {
  const martlet_dnn_description *d = r->of;
  switch (kind) {
    case martlet_dnn_convolution:
      return dnn->convolution3(
        plan, dnn->engine, mode, r->algorithm, r->source, r->weights, r->bias, r->destination, d->strides,
        r->dilations, d->padding_before, d->padding_after, r->attributes);
    case martlet_dnn_convolution_source_gradient:
      return dnn->source_gradient3(
        plan, dnn->engine, r->algorithm, r->source, r->weights, r->destination, d->strides, r->dilations,
        d->padding_before, d->padding_after, r->forward, r->attributes);
    case martlet_dnn_convolution_weights_gradient:
      return dnn->weights_gradient3(
        plan, dnn->engine, r->algorithm, r->source, r->weights, r->bias, r->destination, d->strides, r->dilations,
        d->padding_before, d->padding_after, r->forward, r->attributes);
    case martlet_dnn_pooling:
      return dnn->pooling3(
        plan, dnn->engine, mode, r->algorithm, r->source, r->destination, d->strides, d->window, r->dilations,
        d->padding_before, d->padding_after, r->attributes);
    case martlet_dnn_pooling_gradient:
      return dnn->pooling_gradient3(
        plan, dnn->engine, r->algorithm, r->source, r->destination, d->strides, d->window, r->dilations,
        d->padding_before, d->padding_after, r->forward, r->attributes);
    case martlet_dnn_product:
      return dnn->product3(plan, dnn->engine, r->source, r->weights, r->bias, r->destination, r->attributes);
    default:
      return dnn->reorder(plan, r->source, dnn->engine, r->destination, dnn->engine, r->attributes);
  }
}

/// The plan of what a gradient is the gradient of; NULL for what is no gradient.
static int make_forward_plan(const dnn_functions *dnn, const request *r, dnn_plan *plan) {
  martlet_dnn_kind kind = r->of->kind;
  martlet_dnn_kind forward;
  if (kind == martlet_dnn_pooling_gradient) {
    forward = martlet_dnn_pooling;
  } else if (
    kind == martlet_dnn_convolution_source_gradient || kind == martlet_dnn_convolution_weights_gradient) {
    forward = martlet_dnn_convolution;
  } else {
    return 0;
  }
  return dnn->major == 2 ? make_plan2(dnn, forward, training, r, plan) : make_plan3(dnn, forward, training, r, plan);
}

int martlet_dnn_make_plan(const dnn_functions *dnn, const martlet_dnn_description *description, dnn_plan *plan) {
  request r = {.of = description, .algorithm = algorithm_number(description->algorithm)};
  for (int i = 0; i < description->spatial && i < martlet_dnn_max_spatial; i++) {
    r.dilations[i] = description->dilations[i] - 1;
  }
  int status = martlet_dnn_make_layout(dnn, &description->source, &r.source);
  if (status == 0) status = martlet_dnn_make_layout(dnn, &description->weights, &r.weights);
  if (status == 0) status = martlet_dnn_make_layout(dnn, &description->bias, &r.bias);
  if (status == 0) status = martlet_dnn_make_layout(dnn, &description->destination, &r.destination);
  if (status == 0) status = make_attributes(dnn, description, &r.attributes);
  if (status == 0) status = make_forward_plan(dnn, &r, &r.forward);
  if (status == 0) {
    int mode = description->training ? training : inference;
    status = dnn->major == 2 ? make_plan2(dnn, description->kind, mode, &r, plan)
                             : make_plan3(dnn, description->kind, mode, &r, plan);
  }
  if (r.forward) dnn->plan_destroy(r.forward);
  if (r.attributes) dnn->attributes_destroy(r.attributes);
  martlet_dnn_destroy_layout(dnn, r.source);
  martlet_dnn_destroy_layout(dnn, r.weights);
  martlet_dnn_destroy_layout(dnn, r.bias);
  martlet_dnn_destroy_layout(dnn, r.destination);
  return status;
}
