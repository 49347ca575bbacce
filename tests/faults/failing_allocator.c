/* NumPy's memory of array elements, taken from malloc, with one allocation that fails. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define NPY_TARGET_VERSION NPY_2_0_API_VERSION
#include <numpy/arrayobject.h>
#include <stdatomic.h>

static atomic_long until_failure = -1; /* so many succeed before one fails; negative: none fails */
static atomic_long asked = 0;

static int refuses(void) {
    atomic_fetch_add(&asked, 1);
    return atomic_load(&until_failure) >= 0 && atomic_fetch_sub(&until_failure, 1) == 0;
}

static void *take(void *context, size_t size) { return refuses() ? NULL : malloc(size); }
static void *take_zeros(void *context, size_t count, size_t size) { return refuses() ? NULL : calloc(count, size); }
static void *resize(void *context, void *place, size_t size) { return refuses() ? NULL : realloc(place, size); }
static void give_back(void *context, void *place, size_t size) { free(place); }

static PyDataMem_Handler handler = {"failing", 1, {NULL, take, take_zeros, resize, give_back}};

static PyObject *install(PyObject *module, PyObject *nothing) {
    PyObject *capsule = PyCapsule_New(&handler, "mem_handler", NULL);
    PyObject *old = capsule ? PyDataMem_SetHandler(capsule) : NULL;
    Py_XDECREF(capsule);
    return old;
}

static PyObject *restore(PyObject *module, PyObject *old) { return PyDataMem_SetHandler(old); }

static PyObject *fail_after(PyObject *module, PyObject *count) {
    long number = PyLong_AsLong(count);
    if (number == -1 && PyErr_Occurred())
        return NULL;
    atomic_store(&asked, 0);
    atomic_store(&until_failure, number);
    Py_RETURN_NONE;
}

static PyObject *times_asked(PyObject *module, PyObject *nothing) { return PyLong_FromLong(atomic_load(&asked)); }

static PyMethodDef methods[] = {
    {"install", install, METH_NOARGS, "Take memory from here; returns the handler of before."},
    {"restore", restore, METH_O, "Take memory from this handler again."},
    {"fail_after", fail_after, METH_O, "Let this many allocations succeed and the next fail; none if negative."},
    {"times_asked", times_asked, METH_NOARGS, "Allocations since the last fail_after."},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "failing_allocator", NULL, -1, methods};

PyMODINIT_FUNC PyInit_failing_allocator(void) {
    import_array();
    return PyModule_Create(&definition);
}
