"""What all Sluice services share; it knows no service and holds no business rule."""

__version__ = "0.1.0"
