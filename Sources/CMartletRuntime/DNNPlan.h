/// From our descriptions to oneDNN's: layouts (memory descriptors) and plans (primitive descriptors).
#ifndef MARTLET_DNN_PLAN_H
#define MARTLET_DNN_PLAN_H

#include "DNNFunctions.h"

/// The descriptor of a tensor; NULL for an absent one. Returns oneDNN's status.
int martlet_dnn_make_layout(const dnn_functions *dnn, const martlet_dnn_tensor *tensor, dnn_layout *layout);
/// A copy that outlives the plan it came from; NULL for NULL.
dnn_layout martlet_dnn_copy_layout(const dnn_functions *dnn, dnn_layout layout);
void martlet_dnn_destroy_layout(const dnn_functions *dnn, dnn_layout layout);
/// oneDNN's descriptor in a layout of ours.
dnn_layout martlet_dnn_layout_value(const martlet_dnn_layout *layout);

/// The plan of what is described, for the number of threads that the caller has. Returns oneDNN's status.
int martlet_dnn_make_plan(const dnn_functions *dnn, const martlet_dnn_description *description, dnn_plan *plan);

#endif
