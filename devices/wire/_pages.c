/* The numbers of an exporter's page whose lines are those of its last page, in one pass over its bytes.

   Optional: devices/wire/layout.py does the same in Python and decides whatever this leaves open. Nothing is read beyond
   the page's end, nothing is written beyond the arrays' lengths, and every page that is not exactly as expected is left
   to Python. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <float.h>
#include <stdint.h>
#include <string.h>

#define LONGEST_NUMBER 63
#define MOST_DIGITS 19 /* of which any fit into 64 bits */
#define EXACT (1ULL << 53)
#define FIRST_SENTINEL 9223372036854775792ULL /* dcgm_structs.h: DCGM_INT64_BLANK and the three after it */
#define LAST_SENTINEL 9223372036854775795ULL

enum { DIFFERS = 0, READ = 1, SENTINELS = 2 }; /* the last is added to READ */

static const double TENS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                              1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* -?digits(.digits)? up to a line feed; returns where the line feed is, NULL for anything else. */
static const char *number(const char *at, const char *end, double *value, char *sentinel)
{
    const char *start = at;
    int negative = at < end && *at == '-';
    uint64_t mantissa = 0;
    Py_ssize_t whole = 0, fraction = 0;

    at += negative;
    for (; at < end && *at >= '0' && *at <= '9'; at++, whole++)
        mantissa = mantissa * 10 + (uint64_t)(*at - '0');
    if (whole && at < end && *at == '.') {
        for (at++; at < end && *at >= '0' && *at <= '9'; at++, fraction++)
            mantissa = mantissa * 10 + (uint64_t)(*at - '0');
        if (!fraction)
            return NULL;
    }
    if (!whole || at >= end || *at != '\n' || at - start > LONGEST_NUMBER)
        return NULL;
    int small = whole + fraction <= MOST_DIGITS; /* or the mantissa has wrapped */
    if (FLT_EVAL_METHOD == 0 && small && mantissa <= EXACT) {
        *value = (double)mantissa / TENS[fraction]; /* both exact, so that one rounding gives the nearest double */
        if (negative)
            *value = -*value;
    } else {
        char text[LONGEST_NUMBER + 1];
        memcpy(text, start, (size_t)(at - start));
        text[at - start] = '\0';
        *value = PyOS_string_to_double(text, NULL, NULL);
        if (*value == -1.0 && PyErr_Occurred()) {
            PyErr_Clear();
            return NULL;
        }
    }
    *sentinel = small && !negative && !fraction && whole == MOST_DIGITS && mantissa >= FIRST_SENTINEL &&
                mantissa <= LAST_SENTINEL;
    return at;
}

static int read_lines(const char *at, const char *end, PyObject *template, double *numbers, char *sentinels,
                      Py_ssize_t count)
{
    Py_ssize_t lines = PyTuple_GET_SIZE(template), found = 0;
    int status = READ;

    for (Py_ssize_t line = 0; line < lines; line++) {
        PyObject *expected = PyTuple_GET_ITEM(template, line);
        if (expected == Py_None) { /* a comment may say what it likes */
            if (at >= end || *at != '#' || !(at = memchr(at, '\n', (size_t)(end - at))))
                return DIFFERS;
            at++;
            continue;
        }
        if (!PyBytes_CheckExact(expected))
            return DIFFERS;
        Py_ssize_t length = PyBytes_GET_SIZE(expected);
        const char *text = PyBytes_AS_STRING(expected);
        if (end - at < length || memcmp(at, text, (size_t)length))
            return DIFFERS;
        at += length;
        if (length && text[length - 1] == '\n')
            continue; /* a line without a value */
        if (found >= count || !(at = number(at, end, &numbers[found], &sentinels[found])))
            return DIFFERS;
        status |= sentinels[found] ? SENTINELS : 0;
        at++;
        found++;
    }
    return at == end && found == count ? status : DIFFERS;
}

static PyObject *read_page(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    Py_buffer page, numbers, sentinels;
    PyObject *template;
    int status = DIFFERS;

    if (!PyArg_ParseTuple(arguments, "y*O!w*w*", &page, &PyTuple_Type, &template, &numbers, &sentinels))
        return NULL;
    if (numbers.len == sentinels.len * (Py_ssize_t)sizeof(double) && (uintptr_t)numbers.buf % sizeof(double) == 0)
        status = read_lines(page.buf, (const char *)page.buf + page.len, template, numbers.buf, sentinels.buf,
                            sentinels.len);
    else
        PyErr_SetString(PyExc_ValueError, "numbers must be float64, one for each byte of sentinels");
    PyBuffer_Release(&page);
    PyBuffer_Release(&numbers);
    PyBuffer_Release(&sentinels);
    return PyErr_Occurred() ? NULL : PyLong_FromLong(status);
}

static PyMethodDef METHODS[] = {
    {"read_page", read_page, METH_VARARGS,
     "read_page(page, template, numbers, sentinels) -> 0 differs, 1 read, 3 read and sentinels are marked"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "_pages", NULL, 0, METHODS, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__pages(void)
{
    return PyModule_Create(&MODULE);
}
