"""hypojax: hypothalamus and intracranial volumes of thousands of T1-weighted MRI scans."""
